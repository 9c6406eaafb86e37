"""PromQL over samples in memory: what Prometheus 2.42 answers, without Prometheus.

`parsing` says what is supported and refuses the rest by name; `evaluate` computes. All
of it is pure: samples come from a `samples.Source`, time is an argument, and a caller's
`Budget` bounds how much work one expression may be.
"""
