package main

import (
	"bytes"
	"encoding/json"
	"log"
	"net/http"
)

const gateway = "http://127.0.0.1:40010"

func main() {
	http.HandleFunc("POST /ws/message", func(w http.ResponseWriter, r *http.Request) {
		var event struct {
			Action string          `json:"action"`
			User   string          `json:"user_name"`
			ConnID string          `json:"conn_id"`
			Data   json.RawMessage `json:"data"`
		}
		err := json.NewDecoder(r.Body).Decode(&event)
		log.Println(event.Action, event.User, event.ConnID)
		if err == nil && event.Action == "message" { // say it back
			body, _ := json.Marshal(map[string]any{"conn_id": event.ConnID, "payload": event.Data})
			var answer *http.Response
			if answer, err = http.Post(gateway+"/tapr/ws/conn/send", "application/json", bytes.NewReader(body)); err == nil {
				answer.Body.Close()
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway) // the gateway sends the event again
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:8888", nil))
}
