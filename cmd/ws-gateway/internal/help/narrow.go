package help

import (
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

const indent = "  "

// printNarrow writes the help of the command that ctx has chosen in lines of at most
// width columns: each option has a line of its own, and its help stands below.
func printNarrow(out io.Writer, ctx *kong.Context, width int) error {
	p := printer{width: width}
	node, summary := ctx.Model.Node, ctx.Model.Summary()
	if selected := ctx.Selected(); selected != nil {
		node, summary = selected, " "+selected.Summary()
	}
	p.wrap("Usage: "+ctx.Model.Name+summary, indent)
	p.text(node.Help)
	p.text(node.Detail)
	if len(node.Positional) > 0 {
		p.title("Arguments:", "")
		for _, arg := range node.Positional {
			p.item(arg.Summary(), arg.Help)
		}
	}
	p.flags(node)
	if len(node.Children) > 0 {
		p.title("Commands:", "")
	}
	for _, child := range node.Children {
		if !child.Hidden {
			p.item(child.Summary(), child.Help)
		}
	}
	_, err := io.WriteString(out, p.b.String())
	return err
}

type printer struct {
	width int
	b     strings.Builder
}

func (p *printer) wrap(text, next string) {
	for _, line := range terminal.Wrap(strings.TrimSpace(text), p.width, "", next) {
		p.b.WriteString(line + "\n")
	}
}

// text keeps paragraphs and indented lines. What follows several blanks in an indented
// line goes below it.
func (p *printer) text(text string) {
	if text == "" {
		return
	}
	p.b.WriteByte('\n')
	paragraph := ""
	flush := func() {
		if paragraph != "" {
			p.wrap(paragraph, "")
		}
		paragraph = ""
	}
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case line == "":
			flush()
			p.b.WriteByte('\n')
		case strings.HasPrefix(line, " "):
			flush()
			example, meaning, _ := strings.Cut(strings.TrimSpace(line), "  ")
			p.item(example, meaning)
		default:
			paragraph += " " + line
		}
	}
	flush()
}

func (p *printer) title(title, description string) {
	p.b.WriteByte('\n')
	p.wrap(title, "")
	if description != "" {
		p.wrap(description, "")
	}
}

func (p *printer) item(name, help string) {
	p.wrap(name, indent)
	if help = strings.TrimSpace(help); help == "" {
		return
	}
	for _, line := range terminal.Wrap(help, p.width, indent+indent, indent+indent) {
		p.b.WriteString(line + "\n")
	}
}

// flags prints the flags of node and of its parents, by group.
func (p *printer) flags(node *kong.Node) {
	group := "Flags:"
	p.title(group, "")
	for _, level := range node.AllFlags(true) {
		for _, f := range level {
			if f.Group != nil && f.Group.Title != group {
				group = f.Group.Title
				p.title(group, f.Group.Description)
			}
			p.item(nameOf(f), f.Help)
		}
	}
}

func nameOf(f *kong.Flag) string {
	name := "--" + f.Name
	if f.Short != 0 {
		name = "-" + string(f.Short) + ", " + name
	}
	if !f.IsBool() {
		name += "=" + f.FormatPlaceHolder()
	}
	return name
}
