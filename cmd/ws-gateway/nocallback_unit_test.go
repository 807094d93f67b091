package main

import (
	"errors"
	"strings"
	"testing"
)

func TestWhoStartsWithoutTheFileOfThePackageHearsOfIt(t *testing.T) {
	packaged := writeTemp(t, "gateway.yaml", "")
	for _, test := range []struct {
		file, standard string
		hears          bool
	}{{"", packaged, true}, {packaged, packaged, false}, {"", packaged + ".none", false}} {
		err := noCallback(test.file, test.standard)
		if !errors.Is(err, errNoCallback) || strings.Contains(err.Error(), "--config "+packaged) != test.hears {
			t.Errorf("%+v: %v", test, err)
		}
	}
}
