package gatehouse

import (
	"encoding/json"
	"strings"
)

// DetailType is a type of authorization details (RFC 9396 §2) of a realm: what clients may ask for by it, and what is less of it.
type DetailType struct {
	Type        string `json:"type" maxLength:"128" doc:"Its name, which is the member type of a detail"`
	Description string `json:"description" maxLength:"200" doc:"What it allows, in words, for people who are asked"`
	// Schema is the JSON Schema of a detail without its member type. It admits no member that it does not name.
	Schema json.RawMessage `json:"schema" doc:"JSON Schema of the other members; an object with additionalProperties false"`
	// Compare says by member ("amount", "amount.value") when one detail is no wider than another: members that are not named have to be equal.
	Compare map[string]string `json:"compare,omitempty" doc:"By member, such as actions or limit.amount, when a detail is no wider than another: equal (by default), subset of a list, at_most or at_least of a number"`
	// Remember lets an answer of before count for a detail that is exactly the same.
	Remember bool `json:"remember,omitempty" doc:"Do not ask people again for a detail that is exactly the same; by default they are asked each time"`
}

// Details are authorization details, each a JSON object with its members in one order: those that are the same are the same text.
type Details []string

// JSON is d as a JSON array; nil for none.
func (d Details) JSON() []byte {
	if len(d) == 0 {
		return nil
	}
	return []byte("[" + strings.Join(d, ",") + "]")
}
