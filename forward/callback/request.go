package callback

// Request is what one POST carries. Client keeps none of its slices and strings.
type Request struct {
	ID      []byte // X-Request-Id, the same on every attempt
	Attempt int
	Cookie  string // "" for none
	Headers string // further header lines, complete but for the span of package tracecontext
	Body    []byte
	Tail    string // the rest of the body
	Wanted  int    // how many bytes of the answer's body the caller wants at most; 0: none
	Fields  bool   // the caller wants the fields of the answer's head, and waits for them
	Batch   bool   // Body is a batch: the answer may say that the app has taken part of it
}
