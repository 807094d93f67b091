package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"ws-gateway/cmd/ws-gateway/settings"
)

// Print writes the configuration in force as YAML that --config takes, with the source
// of each value as a comment. A secret is only a comment.
func (c *Config) Print(out io.Writer) error {
	_, err := io.WriteString(out, c.text(c.Callback))
	return err
}

// Text returns what Print writes, without the callback URL's query, which may hold a
// secret.
func (c *Config) Text() string { return c.text(c.ShownCallback()) }

// ShownCallback returns the callback URL without its query.
func (c *Config) ShownCallback() string { return withoutQuery(c.Callback) }

func (c *Config) text(url string) string {
	var b strings.Builder
	for _, v := range c.Values {
		text := yamlText(v.Target.Interface())
		if v.Name == "callback-url" {
			text = yamlText(url)
		}
		if v.Secret() {
			if items, ok := v.Redacted(); ok {
				fmt.Fprintf(&b, "# %s: %s  # %s; passwords and tokens are not shown\n", v.Name, yamlText(items), c.From(v.Name))
			} else {
				fmt.Fprintf(&b, "# %s: %q  # %s; not shown\n", v.Name, settings.Masked, c.From(v.Name))
			}
			continue
		}
		fmt.Fprintf(&b, "%s: %s  # %s\n", v.Name, text, c.From(v.Name)+c.pendingNote(v.Name))
	}
	return b.String()
}

// pendingNote says that an option has another value, which needs a restart.
func (c *Config) pendingNote(option string) settings.Source {
	for _, p := range c.pending {
		if p.option == option {
			return settings.Source(fmt.Sprintf("; %q from %s needs a restart", p.shown, p.from))
		}
	}
	return ""
}

func yamlText(v any) string {
	switch v := v.(type) {
	case string:
		return yamlString(v)
	case []string:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = yamlString(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case time.Duration:
		return v.String()
	default:
		return fmt.Sprint(v)
	}
}

// yamlString quotes s as JSON does, which is valid YAML.
func yamlString(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("BUG: a string that is no JSON: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}
