package forward

// Reply is what the app's answer to an event says to the client.
type Reply struct {
	Body   []byte // to be sent to the client; empty for nothing
	Text   bool   // as a text message
	Close  bool   // close the connection, after that
	Code   int    // of the close frame: 1000 or 3000 to 4999
	Reason string // likewise
}
