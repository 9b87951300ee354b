package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/mfn-connect/mfn-connect/engine"
)

// shells are those that completions are written for.
var shells = []string{"bash", "zsh", "fish"}

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "Print the completion of a shell: bash, zsh or fish",
		ArgsUsage: "bash|zsh|fish",
		Description: `  source <({{.BinaryName}} completion bash)     # in ~/.bashrc
  source <({{.BinaryName}} completion zsh)      # in ~/.zshrc, after compinit
  {{.BinaryName}} completion fish | source      # in ~/.config/fish/config.fish`,
		Action: func(c *cli.Context) error {
			var script string
			var err error
			switch shell := c.Args().First(); shell {
			case "bash":
				script = fmt.Sprintf(bashCompletion, candidates(c.App), c.App.Name)
			case "zsh":
				script = fmt.Sprintf(zshCompletion, candidates(c.App), c.App.Name)
			case "fish":
				script, err = c.App.ToFishCompletion()
			default:
				err = fmt.Errorf("completion: %q is not allowed, must be %v", shell, strings.Join(shells, ", "))
			}
			if err == nil {
				_, err = c.App.Writer.Write([]byte(script))
			}
			return err
		},
	}
}

// The scripts hold all words, since the program takes long to start for a key. They
// find the command, and complete files where there are no words.
const (
	bashCompletion = `_mfn_connect() {
  local cur="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" command="" word="" answer=""
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) command="$word"; break ;; esac
  done
%v  COMPREPLY=($(compgen -W "$answer" -- "$cur"))
}
complete -o default -F _mfn_connect %v
`
	zshCompletion = `_mfn_connect() {
  local cur="${words[CURRENT]}" previous="${words[CURRENT-1]}" command="" word="" answer=""
  for word in "${(@)words[2,CURRENT-1]}"; do
    case "$word" in -*) ;; *) command="$word"; break ;; esac
  done
%v  if [[ -n "$answer" ]]; then compadd -- ${=answer}; else _files; fi
}
compdef _mfn_connect %v
`
)

// candidates returns the shell's code that sets answer by command, previous and cur.
func candidates(app *cli.App) string {
	var b strings.Builder
	b.WriteString("  case \"$command $previous\" in\n")
	for _, v := range flagValues() {
		fmt.Fprintf(&b, "    'simulate --%v') answer='%v' ;;\n", v.flag, strings.Join(v.words, " "))
	}
	b.WriteString("    *)\n      case \"$command:$cur\" in\n")
	var names []string
	for _, command := range app.Commands {
		if command.Hidden {
			continue
		}
		names = append(names, command.Name)
		fmt.Fprintf(&b, "        %v:-*) answer='%v' ;;\n", command.Name, strings.Join(flagNames(command.Flags), " "))
		if arguments := argumentsOf(command); len(arguments) > 0 {
			fmt.Fprintf(&b, "        %v:*) answer='%v' ;;\n", command.Name, strings.Join(arguments, " "))
		}
	}
	fmt.Fprintf(&b, "        :-*) answer='%v' ;;\n        :*) answer='%v' ;;\n", strings.Join(flagNames(app.Flags), " "), strings.Join(names, " "))
	b.WriteString("      esac ;;\n  esac\n")
	return b.String()
}

func flagNames(flags []cli.Flag) (names []string) {
	for _, f := range flags {
		if name := f.Names()[0]; len(name) == 1 {
			names = append(names, "-"+name)
		} else {
			names = append(names, "--"+name)
		}
	}
	slices.Sort(names)
	return names
}

// argumentsOf returns the words that a command takes, none where it takes files.
func argumentsOf(command *cli.Command) (words []string) {
	switch command.Name {
	case "models":
		return engine.ModelNames()
	case "completion":
		return shells
	}
	for _, sub := range command.Subcommands {
		if !sub.Hidden {
			words = append(words, sub.Name)
		}
	}
	return words
}

// flagValue is a flag of simulate that takes one of several words.
type flagValue struct {
	flag  string
	words []string
}

func flagValues() []flagValue {
	values := []flagValue{
		{flagModel, engine.ModelNames()},
		{flagPlane, []string{"field", "activator", "inhibitor", "u", "v"}},
	}
	for _, p := range parameters() {
		var words []string
		for _, o := range p.owners {
			for _, word := range o.spec.Words {
				if !slices.Contains(words, word) {
					words = append(words, word)
				}
			}
		}
		if len(words) > 0 {
			values = append(values, flagValue{flagName(p.name), words})
		}
	}
	return values
}
