package cli

import (
	"context"
	_ "embed"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionOptions are the options of completion.
type completionOptions struct {
	Shell string `arg:"" enum:"bash,zsh,fish" ask:"which shell? bash, zsh or fish" help:"bash, zsh or fish."`
}

// Help is shown below the first lines of the command's help.
func (completionOptions) Help() string {
	return `bash: source <(ws-gateway completion bash), in ~/.bashrc.

zsh: ws-gateway completion zsh > a file _ws-gateway in a folder of $fpath.

fish: ws-gateway completion fish > ~/.config/fish/completions/ws-gateway.fish`
}

var (
	//go:embed completion/bash
	bashCompletion string
	//go:embed completion/zsh
	zshCompletion string
	//go:embed completion/fish
	fishCompletion string
)

func (o *completionOptions) run(_ context.Context, s *surroundings) error {
	scripts := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	_, err := io.WriteString(s.out, scripts[o.Shell])
	return err
}

// CompleteCommand is what the scripts call, with the words that were typed after the
// program's name. The last one is to be completed.
const CompleteCommand = "complete"

// completeFiles stands alone in a line: the word can be the name of any file.
const completeFiles = ":files"

// proposal is a word that can stand there.
type proposal struct{ word, help string }

// Complete answers a shell: each line is a possible word, a tab and what it means. root
// is the whole command line.
func Complete(out io.Writer, words []string, root *kong.Node) {
	proposals, files := propose(words, root)
	if files {
		proposals = []proposal{{word: completeFiles}}
	}
	var b strings.Builder
	for _, c := range proposals {
		b.WriteString(c.word)
		if help, _, _ := strings.Cut(c.help, ". "); help != "" {
			b.WriteString("\t" + strings.TrimSuffix(help, "."))
		}
		b.WriteByte('\n')
	}
	_, _ = io.WriteString(out, b.String()) // the shell may have gone
}

// propose returns what the last word can be; files means the name of any file.
func propose(words []string, root *kong.Node) (proposals []proposal, files bool) {
	if len(words) == 0 {
		return nil, false
	}
	words = joinEquals(words)
	at := len(words) - 1
	last := words[at]
	node, flags, waiting := walk(root, words[:at])
	name, begun, assigned := strings.Cut(last, "=")
	switch {
	case waiting != nil:
		proposals, files = values(waiting.Value, "", waiting.PlaceHolder)
		return startingWith(proposals, last), files
	case assigned && strings.HasPrefix(last, "--"):
		i := slices.IndexFunc(flags, func(f *kong.Flag) bool { return "--"+f.Name == name })
		if i < 0 {
			return nil, false
		}
		proposals, files = values(flags[i].Value, name+"=", flags[i].PlaceHolder)
		return startingWith(proposals, name+"="+begun), files
	case strings.HasPrefix(last, "-"):
		for _, f := range flags {
			proposals = append(proposals, proposal{"--" + f.Name, f.Help})
		}
	case node.Parent == nil, node.Name == "help":
		for _, child := range root.Children {
			if !child.Hidden {
				proposals = append(proposals, proposal{child.Name, child.Help})
			}
		}
	case len(node.Positional) > 0:
		first := node.Positional[0]
		proposals, files = values(first, "", first.Tag.PlaceHolder)
	}
	return startingWith(proposals, last), files
}

// joinEquals puts --flag=value together again, of which bash makes three words.
func joinEquals(words []string) []string {
	n := len(words)
	switch {
	case n >= 2 && words[n-1] == "=":
		return append(words[:n-1:n-1], "")
	case n >= 3 && words[n-2] == "=":
		return append(words[:n-2:n-2], words[n-1])
	}
	return words
}

// walk reads the words that are complete. It returns the command that they lead to, the
// flags that it takes, and the flag whose value comes next, if one does.
func walk(root *kong.Node, words []string) (node *kong.Node, flags []*kong.Flag, waiting *kong.Flag) {
	node, flags = root, root.Flags
	for _, word := range words {
		if waiting != nil {
			waiting = nil
			continue
		}
		if strings.HasPrefix(word, "-") {
			i := slices.IndexFunc(flags, func(f *kong.Flag) bool { return word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short) })
			if i >= 0 && !flags[i].IsBool() {
				waiting = flags[i]
			}
			continue
		}
		for _, child := range node.Children {
			if child.Name == word {
				node, flags = child, slices.Clone(child.Flags)
				for _, f := range root.Flags {
					if !Is(word) || f.Name == "help" || f.Name == "config" {
						flags = append(flags, f)
					}
				}
			}
		}
	}
	return node, flags, waiting
}

// values returns what a flag or an argument can be.
func values(v *kong.Value, prefix, placeholder string) (proposals []proposal, files bool) {
	allowed := v.Tag.Get("oneof")
	if v.Enum != "" {
		allowed = v.Enum
	}
	if v.IsBool() {
		allowed = "true,false"
	}
	if allowed == "" {
		return nil, placeholder == "FILE" || placeholder == "DIR"
	}
	for word := range strings.SplitSeq(allowed, ",") {
		proposals = append(proposals, proposal{word: prefix + word})
	}
	return proposals, false
}

func startingWith(proposals []proposal, begun string) []proposal {
	return slices.DeleteFunc(proposals, func(p proposal) bool { return !strings.HasPrefix(p.word, begun) })
}
