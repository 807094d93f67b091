package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/program"
)

// completionOptions are what completion has.
type completionOptions struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
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

func (o *completionOptions) run(_ context.Context, s *clientIO) error {
	scripts := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	_, err := io.WriteString(s.out, scripts[o.Shell])
	return err
}

// completeCommand is what the scripts call, with the words that are typed behind
// the program's name; the last one is to be completed. Each line of the answer is
// a possible word, a tab and what it means.
const completeCommand = "complete"

// completeFiles is a line of its own: the word is the name of a file.
const completeFiles = ":files"

// proposal is a possible word.
type proposal struct{ word, help string }

// complete answers a shell.
func complete(out io.Writer, words []string) int {
	proposals, files := propose(words)
	if files {
		proposals = []proposal{{word: completeFiles}}
	}
	for _, c := range proposals {
		help, _, _ := strings.Cut(c.help, ". ")
		line := c.word
		if help != "" {
			line += "\t" + strings.TrimSuffix(help, ".")
		}
		fmt.Fprintln(out, line)
	}
	return program.ExitOK
}

// propose returns what the last of words can be; files means the name of any file.
func propose(words []string) (proposals []proposal, files bool) {
	if len(words) == 0 {
		return nil, false
	}
	root := gatewayModel().Node
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

// joinEquals undoes what bash does to --flag=value: it makes three words of it.
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

// walk goes along the words that are complete: to the command, the flags that it
// takes, and the flag whose value is next, if one is.
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
					if !isClientCommand(word) || f.Name == "help" || f.Name == "config" {
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
