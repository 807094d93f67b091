package settings

import "testing"

func TestSizesAreReadAndWrittenWithoutLoss(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "1": 1, "1024": 1024, "32KiB": 32 << 10, "32 KiB": 32 << 10, "1MiB": 1 << 20, "3GiB": 3 << 30, "1TiB": 1 << 40} {
		got, ok := ParseSize(text)
		if !ok || got != want {
			t.Errorf("%s: got %d, %v", text, got, ok)
		}
		if again, ok := ParseSize(got.String()); !ok || again != got {
			t.Errorf("%s: %v is not read back", text, got)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "+1", "1.5MiB", "1kib", "1KB", "1M", "0x10", "9223372036854775808", "9007199254740992TiB"} {
		if got, ok := ParseSize(text); ok {
			t.Errorf("%q is taken as %d", text, got)
		}
	}
}
