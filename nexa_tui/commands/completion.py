"""`nexa completion SHELL`: made from the command table, so it can't lag behind."""

from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import Call
from nexa_tui.commands.table import COMMANDS


def run(arguments: list[str], call: Call) -> int:
    """Print a completion script; it calls nothing while completing."""
    parser = Parser(
        "completion",
        "Print a completion script.",
        epilog=(
            "  bash   nexa completion bash > ~/.local/share/bash-completion/completions/nexa\n"
            "  zsh    nexa completion zsh > ~/.zfunc/_nexa\n"
            "  fish   nexa completion fish > ~/.config/fish/completions/nexa.fish"
        ),
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    options = parser.parse_args(arguments)
    call.line({"bash": _bash, "zsh": _zsh, "fish": _fish}[options.shell]())
    return 0


def _bash() -> str:
    cases = "\n".join(
        f"      {command.name}) words='{' '.join(command.verbs)}' ;;"
        for command in COMMANDS
        if command.verbs
    )
    names = " ".join(command.name for command in COMMANDS)
    return f"""_nexa() {{
  local words=''
  case $COMP_CWORD in
    1) words='{names}' ;;
    2) case ${{COMP_WORDS[1]}} in
{cases}
    esac ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}")
}}
complete -o default -F _nexa nexa"""


def _zsh() -> str:
    names = "\n".join(f"    '{one.name}:{one.help}'" for one in COMMANDS)
    cases = "\n".join(
        f"    {one.name}) compadd {' '.join(one.verbs)} ;;"
        for one in COMMANDS
        if one.verbs
    )
    return f"""#compdef nexa
_nexa() {{
  local -a commands
  commands=(
{names}
  )
  if (( CURRENT == 2 )); then
    _describe 'command' commands
  elif (( CURRENT == 3 )); then
    case $words[2] in
{cases}
    esac
  else
    _files
  fi
}}
_nexa "$@\""""


def _fish() -> str:
    lines = [
        f"complete -c nexa -n __fish_use_subcommand -f -a {one.name} -d '{one.help}'"
        for one in COMMANDS
    ]
    lines += [
        f"complete -c nexa -n '__fish_seen_subcommand_from {one.name}' -f -a '{' '.join(one.verbs)}'"
        for one in COMMANDS
        if one.verbs
    ]
    return "\n".join(lines)
