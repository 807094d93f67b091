package report

// Ratio compares a figure of ours with the same one of a peer, measured in turn
// in one run.
type Ratio struct {
	Record   string    `json:"record"` // "ratio"
	Scenario string    `json:"scenario"`
	Case     string    `json:"case"`
	Peer     string    `json:"peer"`
	Figure   string    `json:"figure"`
	Unit     string    `json:"unit"`   // of Ours and Theirs
	Ours     float64   `json:"ours"`   // median
	Theirs   float64   `json:"theirs"` // median
	Median   float64   `json:"median"` // theirs divided by ours: 2 where the peer has twice as much
	Min      float64   `json:"min"`
	Max      float64   `json:"max"`
	Values   []float64 `json:"values"` // in the order of the rounds
}
