package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Letter is a line of the dead-letter file.
type Letter struct {
	At       time.Time
	Attempts int
	Event    Event
}

// Letters reads a dead-letter file.
func Letters(file []byte) ([]Letter, error) {
	var all []Letter
	for line := range bytes.Lines(file) {
		var raw struct {
			Time      time.Time `json:"time"`
			RequestID string    `json:"request_id"`
			Attempts  int       `json:"attempts"`
			Event     wire      `json:"event"`
		}
		if err := json.Unmarshal(line, &raw); err != nil {
			return nil, fmt.Errorf("line %d of the dead-letter file: %w", len(all)+1, err)
		}
		all = append(all, Letter{At: raw.Time, Attempts: raw.Attempts, Event: raw.Event.event(raw.RequestID)})
	}
	return all, nil
}
