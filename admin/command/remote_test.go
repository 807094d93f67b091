package command

import "testing"

func TestAPortOfZeroIsNoPortOfAnAddress(t *testing.T) {
	for _, text := range []string{"127.0.0.2:0", "[::1]:0"} {
		if _, _, err := ParseRemote(text); err != ErrRemote {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, port, err := ParseRemote("127.0.0.2:1"); port != 1 || err != nil {
		t.Errorf("port %d, %v", port, err)
	}
}
