package config

import (
	"slices"
	"strings"
	"testing"
)

func TestSecretsOfCallbacksComeFromOptionsAndAFile(t *testing.T) {
	file := writeTemp(t, "secrets", "  three, with comma \n\nfour\r\n")
	for _, c := range []struct {
		args []string
		env  string
		want []string
	}{
		{nil, "A=b", nil},
		{[]string{"--callback-secret=one", "--callback-secret", "two,2"}, "A=b", []string{"one", "two,2"}},
		{nil, "WS_GATEWAY_CALLBACK_SECRET=one\ntwo,2", []string{"one", "two,2"}},
		{[]string{"--callback-secret=one", "--callback-secret-file", file}, "A=b", []string{"one", "three, with comma", "four"}},
		{nil, "WS_GATEWAY_CALLBACK_SECRET_FILE=" + file, []string{"three, with comma", "four"}},
	} {
		if got := mustParse(t, append([]string{"--callback-url=http://a/"}, c.args...), c.env).secrets; !slices.Equal(got, c.want) {
			t.Errorf("%q %q: %q, want %q", c.args, c.env, got, c.want)
		}
	}
	for _, file := range []string{writeTemp(t, "secrets", " \n\n"), "/nowhere/secrets"} {
		if _, err := parse([]string{"--callback-url=http://a/", "--callback-secret-file", file}); err == nil ||
			!strings.Contains(err.Error(), "--callback-secret-file") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestSecretsOfCallbacksAreNotShown(t *testing.T) {
	var b strings.Builder
	c := mustParse(t, []string{"--callback-url=http://a/", "--callback-secret=hush-1", "--callback-secret-file", writeTemp(t, "secrets", "hush-2")})
	if err := c.Print(&b); err != nil || strings.Contains(b.String(), "hush") || !strings.Contains(b.String(), "# callback-secret: ") {
		t.Errorf("%v:\n%s", err, b.String())
	}
}
