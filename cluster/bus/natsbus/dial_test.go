package natsbus

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

func TestAnAddressThatDoesNotAnswerLeavesTimeForTheOthers(t *testing.T) {
	const all = time.Hour
	hosts := []string{"a", "b", "c", "d"}
	ctx, cancel := context.WithTimeout(t.Context(), all)
	defer cancel()
	tried := make(map[string]bool)
	_, err := dialAny(ctx, hosts, func(ctx context.Context, host string) (net.Conn, error) {
		end, ok := ctx.Deadline()
		least := all / time.Duration(len(hosts)-len(tried))
		if given := time.Until(end); !ok || given > least || given < least*9/10 {
			t.Errorf("attempt %d has %v, should have %v", len(tried)+1, given, least)
		}
		tried[host] = true
		return nil, errors.New(host)
	})
	if len(tried) != len(hosts) || err == nil {
		t.Errorf("%d of %d were tried: %v", len(tried), len(hosts), err)
	}
}

func TestTheFirstAddressThatAnswersIsTaken(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	firsts := make(map[string]bool)
	for range 200 {
		attempts := 0
		conn, err := dialAny(ctx, []string{"a", "b", "c"}, func(_ context.Context, host string) (net.Conn, error) {
			if attempts++; attempts == 1 {
				firsts[host] = true
				return nil, errors.New("refused")
			}
			return ours, nil
		})
		if conn != ours || err != nil || attempts != 2 {
			t.Fatalf("%v, %v after %d attempts", conn, err, attempts)
		}
	}
	if len(firsts) != 3 {
		t.Errorf("always the same are tried first: %v", firsts)
	}
}

func TestDialFindsAServerByItsNameOrSaysWhyNot(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	for _, host := range []string{"localhost", "127.0.0.1"} {
		conn, err := new(dialer).Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		conn.Close()
	}
	ln.Close()
	for _, address := range []string{net.JoinHostPort("127.0.0.1", port), "no port", "nowhere.invalid:4222"} {
		if conn, err := new(dialer).Dial("tcp", address); err == nil {
			t.Errorf("%s: %v", address, conn.RemoteAddr())
		}
	}
}
