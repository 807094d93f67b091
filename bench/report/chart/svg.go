package chart

import (
	_ "embed"
	"html/template"
	"strings"
)

//go:embed chart.tmpl
var source string

//go:embed chart.css
var css string

var pictures = template.Must(template.New("chart").Parse(source))

// CSS is what a page with charts needs in its style: colours for light and dark
// as variables on :root, which the page may use too.
func CSS() template.CSS { return template.CSS(css) }

// render fills a template in. The templates are part of the program, and what
// goes in is text and numbers: an error is a mistake of this package.
func render(name string, data any) template.HTML {
	var b strings.Builder
	if err := pictures.ExecuteTemplate(&b, name, data); err != nil {
		panic("BUG: chart: " + err.Error())
	}
	return template.HTML(b.String())
}
