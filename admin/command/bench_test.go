package command

import "testing"

const benchBody = `{"payload":{"event":"message","data":{"id":1234567890,"text":"The quick brown fox jumps over the lazy dog","tags":["a","b","c"]}},"conn_id":"AAAAAAAAAAAAAAAAAAAAAAAA"}`

func BenchmarkParseSend(b *testing.B) {
	body := []byte(benchBody)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := ParseSend(body, nil, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
