package docs_test

import (
	"os"
	"testing"

	"ws-gateway/cmd/ws-gateway/cli"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/settings"
)

// schemaFile is what the packages have for editors, as ws-gateway config schema prints it.
const schemaFile = "../deploy/package/gateway.schema.json"

func TestTheDocsHaveTheSchemaOfTheConfigurationFile(t *testing.T) {
	root := config.Parser{Clients: &cli.Commands{}}.Model()
	schema, err := settings.Schema(cli.SchemaTitle, settings.Options(root.Flags))
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_README") != "" {
		if err := os.WriteFile(schemaFile, schema, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, schemaFile) != string(schema) {
		t.Errorf("%s is not what the table of options says: make readme writes it", schemaFile)
	}
}
