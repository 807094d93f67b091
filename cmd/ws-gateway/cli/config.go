package cli

import (
	"context"

	"ws-gateway/cmd/ws-gateway/settings"
)

// SchemaTitle is the title of the schema that config schema prints.
const SchemaTitle = "Configuration of ws-gateway"

// configOptions are the options of config.
type configOptions struct {
	What string `arg:"" name:"schema" oneof:"schema" ask:"ws-gateway config schema prints the JSON Schema of the configuration file" help:"The word schema: what is printed is a JSON Schema (draft 7)."`
}

// Help is shown below the first lines of the command's help.
func (configOptions) Help() string {
	return `ws-gateway config schema > gateway.schema.json

An editor with a YAML language server completes and checks a file that begins with

  # yaml-language-server: $schema=gateway.schema.json`
}

func (o *configOptions) run(_ context.Context, s *surroundings) error {
	if o.What != "schema" {
		return usagef("%q is nothing that config prints: ws-gateway config schema prints the JSON Schema of the configuration file", o.What)
	}
	schema, err := settings.Schema(SchemaTitle, settings.Options(s.model().Flags))
	if err != nil {
		return err
	}
	_, err = s.out.Write(schema)
	return err
}
