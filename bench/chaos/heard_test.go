package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// delivered are two senders at two instances, and a client at each that got all that it
// should have: ann at one, who has been there from the beginning, and bob at two, who came
// after the first two messages of each sender. The instances count nothing as lost.
func delivered() (senders []*Sender, instances []Instance) {
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	to := func(second int, users ...string) Send { return Send{Users: users, Began: at(second)} }
	senders = []*Sender{
		{ID: 0, Instance: "one", Sends: []Send{to(1, "ann"), to(2, "bob"), to(11, "bob", "ann"), to(12, "bob"), to(13)}},
		{ID: 1, Instance: "two", Sends: []Send{to(1, "bob"), to(2, "ann"), to(11, "ann"), to(12, "bob"), to(13)}},
	}
	return senders, []Instance{
		{Name: "one", Clients: []Client{{User: "ann", There: at(0), Heard: []Heard{{0, 0}, {1, 1}, {1, 2}, {0, 2}, {1, 4}, {0, 4}}}}},
		{Name: "two", Clients: []Client{{User: "bob", There: at(10), Heard: []Heard{{0, 2}, {0, 3}, {0, 4}, {1, 3}, {1, 4}}}}},
	}
}

func TestInstancesThatDeliverEverythingAreNotBlamed(t *testing.T) {
	senders, instances := delivered()
	d := AuditSends(senders, instances, 0)
	if len(d.Broken) > 0 || d.Sends != 10 || d.Received != 11 || d.Remote != 6 || d.Lost+d.Excused+d.Twice+d.Early != 0 {
		t.Errorf("%+v", d)
	}
}

func TestTheAuditOfSendsNoticesEachWayToFail(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(senders []*Sender, ann, bob *Client)
		counted int
		says    string // "": nothing
	}{
		{"twice", func(_ []*Sender, ann, _ *Client) { ann.Heard = append(ann.Heard, Heard{0, 4}) }, 0, "message 4 of sender 0 (one) twice"},
		{"swapped", func(_ []*Sender, _, bob *Client) { bob.Heard[0], bob.Heard[1] = bob.Heard[1], bob.Heard[0] }, 0, "message 2 of sender 0 (one) after message 3"},
		{"for another", func(_ []*Sender, ann, _ *Client) { ann.Heard = append([]Heard{{0, 1}}, ann.Heard[1:]...) }, 0, "which was for others"},
		{"invented", func(_ []*Sender, ann, _ *Client) { ann.Heard = append(ann.Heard, Heard{0, 5}) }, 0, "which nobody has sent"},
		{"of nobody", func(_ []*Sender, ann, _ *Client) { ann.Heard = append(ann.Heard, Heard{2, 0}) }, 0, "which nobody has sent"},
		{"lost", func(_ []*Sender, _, bob *Client) { bob.Heard = without(bob.Heard, 1) }, 0, "1 messages were lost, and 0 are counted as lost"},
		{"lost and counted", func(_ []*Sender, _, bob *Client) { bob.Heard = without(bob.Heard, 1) }, 1, ""},
		{"lost where it was sent", func(_ []*Sender, _, bob *Client) { bob.Heard = without(bob.Heard, 3) }, 1, "message 3 of sender 1 of the same instance"},
		{"before it came", func(senders []*Sender, _, bob *Client) {
			bob.There = senders[0].Sends[4].Began
			bob.Heard = []Heard{{0, 4}, {1, 4}}
		}, 0, ""},
		{"gone before it came", func(_ []*Sender, _, bob *Client) { bob.Heard = bob.Heard[:1] }, 0, ""},
		{"said to be missing", func(senders []*Sender, _, bob *Client) {
			senders[0].Sends[3].Missing = []string{"two"}
			bob.Heard = without(bob.Heard, 1)
		}, 0, ""},
		{"another said to be missing", func(senders []*Sender, _, bob *Client) {
			senders[0].Sends[3].Missing = []string{"three"}
			bob.Heard = without(bob.Heard, 1)
		}, 0, "1 messages were lost"},
		{"not answered", func(senders []*Sender, _, bob *Client) {
			senders[0].Sends[3].Failed = true
			bob.Heard = without(bob.Heard, 1)
		}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			senders, instances := delivered()
			c.change(senders, &instances[0].Clients[0], &instances[1].Clients[0])
			said := strings.Join(AuditSends(senders, instances, c.counted).Broken, "\n")
			if !strings.Contains(said, c.says) || c.says == "" && said != "" {
				t.Errorf("it says %q", said)
			}
		})
	}
}

func TestAMessageIsKnownToItsLastByte(t *testing.T) {
	long := 0
	for n := range 2000 {
		text := Message(3, n)
		if h, err := hear(text); err != nil || h != (Heard{3, n}) {
			t.Fatal(h, err)
		}
		if long = max(long, len(text)); len(text) > 1<<20 {
			t.Fatalf("message %d has %d bytes", n, len(text))
		}
		text[len(text)-3] ^= 1
		if _, err := hear(text); err == nil {
			t.Fatal("a changed byte was not noticed")
		}
	}
	if long < 600<<10 {
		t.Errorf("the longest of 2,000 has %d bytes", long)
	}
}

func TestWhoIsPresentIsPickedAndWhoHasLeftIsNot(t *testing.T) {
	var p Present
	random := rand.New(rand.NewPCG(1, 2))
	count := map[string]int{}
	for i := range 10_000 {
		user := fmt.Sprint("user-", random.IntN(20))
		if random.IntN(2) == 0 {
			p.came(user)
			count[user]++
		} else if count[user] > 0 {
			p.left(user)
			if count[user]--; count[user] == 0 {
				delete(count, user)
			}
		}
		all := 0
		for _, n := range count {
			all += n
		}
		if p.Len() != all || p.Users() != len(count) {
			t.Fatalf("step %d: %d connections of %d users, want %d of %d", i, p.Len(), p.Users(), all, len(count))
		}
		for _, u := range p.pick(random, 3) {
			if count[u] == 0 {
				t.Fatalf("step %d: %s was picked", i, u)
			}
		}
	}
}
