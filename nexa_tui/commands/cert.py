"""`nexa cert`: clients that prove who they are by a certificate; the authority."""

import argparse
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from nexa_node.contract.access import (
    ROLES,
    CertificateIssued,
    NewCertificate,
    RenewCertificate,
    TokenView,
)
from nexa_node.contract.errors import Invalid, NotFound
from nexa_node.contract.rest import Page
from nexa_tui.client import keys
from nexa_tui.commands.arguments import Parser, choose_verb
from nexa_tui.commands.output import Call, age, clean
from nexa_tui.commands.planning import Ending, end_record
from nexa_tui.commands.reach import add_target_options, find, reach
from nexa_tui.commands.records import Listed, list_records
from nexa_tui.commands.token import add_scope, scope_of, seconds

VERBS = ("issue", "add", "list", "renew", "revoke", "ca")


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verb, rest = choose_verb("cert", arguments, VERBS, default="list")
    verbs = {
        "issue": _issue,
        "add": _add,
        "list": _list,
        "renew": _renew,
        "revoke": _revoke,
        "ca": _authority,
    }
    return verbs[verb](rest, call)


def _issue(arguments: list[str], call: Call) -> int:
    parser = Parser(
        "cert issue",
        "Have the cluster sign a certificate for a client. The key is made here and goes\n"
        "nowhere; both are written to files of mode 0600.",
    )
    _add_wanted(parser)
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="beginning of the files' names: PATH.pem, PATH.key, PATH.ca.pem; the id",
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    key = keys.make_key()
    wanted = _wanted(options, csr=keys.request_for(key))
    with reach(options, call) as node:
        made = node.post("/v1/certificates", CertificateIssued, body=wanted)
    place = Path(options.out or made.id)
    written = [(place.with_name(place.name + ".key"), key)]
    written.append((place.with_name(place.name + ".pem"), made.certificate.encode()))
    if made.authorities:
        ca = place.with_name(place.name + ".ca.pem")
        written.append((ca, made.authorities.encode()))
    for path, content in written:
        keys.write_secret(path, content)
    return _show(made, options, call, [str(path) for path, _ in written])


def _add(arguments: list[str], call: Call) -> int:
    parser = Parser(
        "cert add",
        "Let in a certificate of another authority: of one in [tls] client_ca_file.",
    )
    parser.add_argument("file", metavar="FILE", help="the certificate, PEM; no key")
    _add_wanted(parser)
    add_target_options(parser)
    options = parser.parse_args(arguments)
    wanted = _wanted(options, certificate=_text(Path(options.file)))
    with reach(options, call) as node:
        made = node.post("/v1/certificates", CertificateIssued, body=wanted)
    return _show(made, options, call, [])


def _renew(arguments: list[str], call: Call) -> int:
    parser = Parser(
        "cert renew",
        "Renew a certificate in place, for the same key; to be run before it ends. Its\n"
        "holder needs nothing but it: --cert is shown to the node.",
    )
    parser.add_argument("cert", metavar="FILE", help="the certificate, PEM")
    parser.add_argument(
        "--key", metavar="FILE", help="its key; FILE with .key by default"
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    certificate = Path(options.cert)
    key = Path(options.key) if options.key else certificate.with_suffix(".key")
    holder = keys.holder_of(certificate)
    wanted = RenewCertificate(csr=keys.request_for(_text(key).encode()))
    shown = {"NEXA_CERT_FILE": str(certificate), "NEXA_KEY_FILE": str(key)}
    environ = {**call.environ, **shown}
    environ.pop("NEXA_TOKEN", None)
    environ.pop("NEXA_TOKEN_FILE", None)
    as_holder = Call(environ=environ, out=call.out, err=call.err)
    with reach(options, as_holder) as node:
        path = f"/v1/certificates/{quote(holder, safe='')}/renew"
        made = node.post(path, CertificateIssued, body=wanted)
    keys.write_secret(certificate, made.certificate.encode())
    return _show(made, options, call, [str(certificate)])


def _show(
    made: CertificateIssued, options: argparse.Namespace, call: Call, files: list[str]
) -> int:
    if options.json:
        told = {"id": made.id, "role": made.role, "name": made.name}
        call.json({**told, "expires": made.expires, "files": files})
        return 0
    for path in files:
        call.line(path)
    call.note(
        f"{clean(made.role)} certificate {made.id}, ends {made.expires:%Y-%m-%d};"
        f" end it sooner: nexa cert revoke {made.id}"
    )
    return 0


def _add_wanted(parser: Parser) -> None:
    parser.add_argument(
        "--role", required=True, help=f"{', '.join(ROLES)}, or see nexa role list"
    )
    add_scope(parser)
    parser.add_argument("--name", default="", help="who it is for")
    parser.add_argument(
        "--expires", metavar="30d", help="agents 90d, others 30d by default"
    )


def _wanted(
    options: argparse.Namespace,
    *,
    csr: str | None = None,
    certificate: str | None = None,
) -> NewCertificate:
    return NewCertificate(
        role=options.role,
        csr=csr,
        certificate=certificate,
        name=options.name,
        expires_s=None if options.expires is None else seconds(options.expires),
        scope=scope_of(options),
    )


def _list(arguments: list[str], call: Call) -> int:
    return list_records(_CERTIFICATES, arguments, call)


def _row(one: TokenView, now: datetime) -> tuple[str, ...]:
    ends = "never" if one.expires is None else f"{one.expires:%Y-%m-%d %H:%M}Z"
    return (one.id, one.role, one.name or "-", age(one.created, now), ends)


_CERTIFICATES = Listed(
    command="cert list",
    about="List clients that show a certificate.",
    path="/v1/certificates",
    page=Page[TokenView],
    titles=("CERTIFICATE", "ROLE", "NAME", "AGE", "ENDS"),
    row=_row,
    empty="no certificates. Make one: nexa cert issue --role agent",
)


def _revoke(arguments: list[str], call: Call) -> int:
    how = Ending(method="DELETE", path="/v1/tokens/{}", did="revoked")
    about = "End a certificate, and what is connected by it."
    return end_record("cert revoke", about, how, arguments, call)


def _authority(arguments: list[str], call: Call) -> int:
    parser = Parser(
        "cert ca",
        "Print by what the node is known here: the authority that remote programs are to\n"
        "trust (nexa login URL --ca FILE). It is public.",
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    target = find(options, call)
    if not target.url.startswith("https:"):
        raise Invalid(
            f"{target.url} speaks no TLS",
            remedy='set [tls] mode = "on", and restart it',
        )
    if not target.trust.ca:
        raise NotFound(
            f"{target.url} is trusted by this system's own authorities",
            remedy="run it on the node's machine, or with a context that pins one",
        )
    pem = _text(Path(target.trust.ca))
    if options.json:
        call.json({"url": target.url, "certificates": pem})
    else:
        call.out.write(pem if pem.endswith("\n") else pem + "\n")
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", remedy=f"ls -l {path}") from None
    except (OSError, UnicodeError) as error:
        raise Invalid(
            f"{path} can't be read: {error}", remedy=f"ls -l {path}"
        ) from None
