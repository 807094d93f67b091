package hub

import (
	"testing"

	"ws-gateway/handover/record"
)

func TestASessionsRecordHasWhatItMustHave(t *testing.T) {
	remote := make([]byte, 18)
	whole := record.AppendNumber(record.Append(record.Append(nil, tagUser, "alice"), tagRemote, remote), tagSeq, 7)
	s, err := ParseSession(record.Append(record.Append(whole, tagGroup, "a"), 1001, "of a later version"))
	if err != nil || s.user != "alice" || s.seq != 7 || len(s.groups) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for name, f := range map[string]record.Fields{
		"no address":           record.Append(nil, tagUser, "alice"),
		"half an address":      record.Append(nil, tagRemote, "half"),
		"a number too large":   record.AppendNumber(whole, tagSeq, 1<<32),
		"an impossible group":  record.Append(whole, tagGroup, ""),
		"an unknown that must": record.Append(whole, 1000, ""),
	} {
		if _, err := ParseSession(f); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzParseSession(f *testing.F) {
	f.Add([]byte(record.Append(record.Append(nil, tagUser, "alice"), tagRemote, make([]byte, 18))))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSession(b)
		if err == nil && (!s.remote.IsValid() || len(s.groups) > len(b)) {
			t.Errorf("%+v", s)
		}
		ParseOrigin(b)
	})
}
