package described

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// ordinary headers of a callback are HTTP's own. Those of --forward-header and
// --callback-header may be there too, so others are no mistake unless they are named as
// the gateway's are.
func ours(name string) bool {
	return strings.HasPrefix(name, "X-Ws-") || name == "X-Request-Id" || name == "X-Attempt"
}

// Callback says what of a callback is not as docs/openapi.yaml describes it.
func Callback(header http.Header, body []byte) error {
	d := openAPI()
	operation, at := d.at("webhooks", "event", "post")
	parameters, _ := operation["parameters"].([]any)
	var known []string
	for i, p := range parameters {
		p := p.(object)
		name := p["name"].(string)
		known = append(known, name)
		values := header.Values(name)
		if len(values) == 0 && p["required"] == true || len(values) > 1 {
			return fmt.Errorf("header %s is there %d times", name, len(values))
		}
		for _, value := range values {
			if err := d.checkValue(at+"/parameters/"+strconv.Itoa(i)+"/schema", value); err != nil {
				return fmt.Errorf("header %s: %w", name, err)
			}
		}
	}
	for name := range header {
		if ours(name) && !slices.Contains(known, name) {
			return fmt.Errorf("header %s is not described", name)
		}
	}
	request, at := d.at("webhooks", "event", "post", "requestBody")
	schema, err := d.contentOf(request, at, header.Get("Content-Type"))
	if err != nil {
		return err
	}
	return d.check(schema, body)
}

// CallbackAnswer says what of an app's answer to a callback docs/openapi.yaml does not
// describe: its status, or a header that is meant for the gateway.
func CallbackAnswer(status int, header http.Header, body []byte) error {
	d := openAPI()
	all, at := d.at("webhooks", "event", "post", "responses")
	key := strconv.Itoa(status/100) + "XX"
	if all[key] == nil {
		key = "default"
	}
	response, at := d.below(at, key)
	described, _ := response["headers"].(object)
	for name := range header {
		if strings.HasPrefix(name, "X-Ws-") && described[name] == nil {
			return fmt.Errorf("header %s is not described for status %d", name, status)
		}
	}
	if err := d.checkHeaders(response, at, header); err != nil {
		return err
	}
	if header.Get("X-Ws-Batch") != "" {
		return d.check("/components/schemas/Partial", body)
	}
	return nil
}

// Close says that a close frame of the gateway's is not one of those that
// docs/asyncapi.yaml describes.
func Close(code int, reason string) error {
	return asyncAPI().checkValue("/components/schemas/CloseFrame", object{"code": code, "reason": reason})
}

// Session says that a text message of the gateway's that begins with U+001E is neither a
// greeting nor an acknowledgement as docs/asyncapi.yaml describes them.
func Session(message string) error {
	payload, marked := strings.CutPrefix(message, "\x1e")
	if !marked {
		return fmt.Errorf("%.40q does not begin with U+001E", message)
	}
	if strings.HasPrefix(payload, "{") {
		return asyncAPI().check("/components/schemas/Greeting", []byte(payload))
	}
	return asyncAPI().check("/components/schemas/Acknowledgement", []byte(payload))
}
