package chaos

import "math/rand/v2"

// Fault is a way to misbehave.
type Fault uint8

const (
	none Fault = iota

	// Of the port, from time to time.
	restart // everything is dropped, the port closed for a while
	refuse  // the port is closed for a while, connections that are there go on
	busy    // 503 to everything for a while

	// Of a connection, before a request is read.
	resetUnasked // reset as soon as it is accepted
	resetUnread  // reset when a request has begun to arrive
	hangUnread   // a request is left unread until the gateway gives up
	closeIdle    // closed while it is kept alive

	// Of a request that has been read.
	resetRead      // reset without an answer
	hang           // no answer until the gateway gives up
	closeAnswered  // an answer that says nothing of it, and closed
	resetAnswered  // reset behind the answer
	retryStatus    // 408, 425, 429, 5xx
	finalStatus    // 3xx, 4xx
	otherSuccess   // 2xx other than 200
	interim        // 1xx before the answer
	trickle        // byte by byte, in time
	trickleTooSlow // byte by byte, the status line not in time
	cutStatus      // ends within the status line
	cutHead        // ends within the header
	cutBody        // ends within the body
	lengthTooLong  // and nothing follows
	lengthTooShort // bytes left over
	lengthGarbage  // not a number
	chunked        // in chunks, as it should be
	chunksCut      // ends between two chunks
	chunksGarbage  // a chunk's length is not a number
	notHTTP        // something else
	untilClose     // HTTP/1.0: the body ends with the connection
	bodyTooLong    // more than the gateway keeps
	headTooLong    // likewise
	straysAnswered // an answer, then bytes that nobody asked for
	announcedToEnd // Connection: close
	faults
)

var faultNames = [faults]string{
	"none", "restarts", "refusals", "busy spells",
	"resets unasked", "resets before reading", "hangs before reading", "idle closes",
	"resets after reading", "hangs", "closes after answering", "resets after answering",
	"408 425 429 5xx", "3xx 4xx", "other 2xx", "1xx first", "trickles", "trickles too slow",
	"cut status lines", "cut heads", "cut bodies", "lengths too long", "lengths too short", "lengths garbage",
	"chunked", "chunks cut", "chunks garbage", "not HTTP", "HTTP/1.0", "bodies too long", "heads too long",
	"stray bytes", "Connection: close",
}

// String returns the fault's name in the plural, as a table says it.
func (f Fault) String() string { return faultNames[f] }

// Faults are all of them but the absence of any.
func Faults() []Fault {
	all := make([]Fault, 0, faults-1)
	for f := none + 1; f < faults; f++ {
		all = append(all, f)
	}
	return all
}

// odds are faults with their weights.
type odds []struct {
	fault  Fault
	weight int
}

// pick rolls the dice: in share of all cases there is a fault.
func (o odds) pick(random *rand.Rand, share float64) Fault {
	if random.Float64() >= share {
		return none
	}
	sum := 0
	for _, each := range o {
		sum += each.weight
	}
	if sum == 0 {
		return none
	}
	at := random.IntN(sum)
	for _, each := range o {
		if at -= each.weight; at < 0 {
			return each.fault
		}
	}
	return none
}

var (
	// When a connection has been accepted, and when a request is about to be read.
	atAccept  = odds{{resetUnasked, 1}}
	atRequest = odds{{resetUnread, 3}, {hangUnread, 1}}
	// Of how a connection goes under, when the request has been read.
	ofConnections = odds{{resetRead, 8}, {hang, 2}, {closeAnswered, 8}, {resetAnswered, 5}, {announcedToEnd, 4}, {cutStatus, 2}}
	// Of what is answered.
	ofAnswers = odds{
		{retryStatus, 12}, {finalStatus, 6}, {otherSuccess, 8}, {interim, 5}, {trickle, 4}, {trickleTooSlow, 1},
		{cutStatus, 3}, {cutHead, 3}, {cutBody, 4}, {lengthTooLong, 1}, {lengthTooShort, 4}, {lengthGarbage, 3},
		{chunked, 4}, {chunksCut, 3}, {chunksGarbage, 3}, {notHTTP, 3}, {untilClose, 4}, {bodyTooLong, 1},
		{headTooLong, 2}, {straysAnswered, 3},
	}
)

// Temper is how an App misbehaves.
type Temper struct {
	Connections bool // connections break
	Answers     bool // answers are odd
	Ports       bool // the port is closed now and then, for up to a second and a half
	Outages     bool // it is closed, or all is 503, for longer than the gateway tries again
}

func (t Temper) ofRequest() odds {
	var o odds
	if t.Connections {
		o = append(o, ofConnections...)
	}
	if t.Answers {
		o = append(o, ofAnswers...)
	}
	return o
}
