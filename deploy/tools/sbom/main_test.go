package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func TestTheBillNamesWhatIsLinkedInAndIsTheSameEachTime(t *testing.T) {
	binary, err := os.Executable() // has the CycloneDX library in it
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := write(out, "gateway", "v1", binary); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("it differs from one time to the next")
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(&first, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if c := bom.Metadata.Component; c.Name != "gateway" || c.Version != "v1" || bom.BOMFormat != cdx.BOMFormat {
		t.Errorf("it is about %+v", c)
	}
	for _, prefix := range []string{"pkg:golang/std@1.", "pkg:golang/github.com/CycloneDX/cyclonedx-go@v"} {
		i := slices.IndexFunc(*bom.Components, func(c cdx.Component) bool { return strings.HasPrefix(c.PackageURL, prefix) })
		if i < 0 {
			t.Errorf("%s… is not there", prefix)
		} else if c := (*bom.Components)[i]; c.Name != "std" && (c.Hashes == nil || len((*c.Hashes)[0].Value) != 64) {
			t.Errorf("%s has no hash", c.Name)
		}
	}
}

func TestWhatIsNoGoBinaryIsRefused(t *testing.T) {
	if err := write(new(bytes.Buffer), "a", "b", "main.go"); err == nil {
		t.Error("a source file has a bill of materials")
	}
}
