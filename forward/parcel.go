package forward

// parcel is what one POST carries. Its slices and strings belong to the events
// that it is made of.
type parcel struct {
	id      []byte // X-Request-Id, the same on every attempt
	attempt int
	cookie  string // "" for none
	headers string // further header lines, complete; see PackHeaders
	body    []byte
	wanted  int // bytes of the body of the answer that are, at most; 0: none
}

// parcel is the event by itself.
func (e *event) parcel() parcel {
	return parcel{id: e.requestID(), attempt: e.attempts, cookie: e.cookie, headers: e.headers, body: e.bodyBytes()}
}
