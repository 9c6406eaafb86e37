"""Rules tried out on made-up samples: the test files of `promtool test rules`. Pure."""
