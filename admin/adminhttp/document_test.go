package adminhttp_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestDocumentWords: what only one reader knows is not in the document: words that JSON
// Schema has not, types that are none. `make openapi` asks foreign readers.
func TestDocumentWords(t *testing.T) {
	var document any
	if err := json.Unmarshal(testadmin.Must(admin.Document("test")), &document); err != nil {
		t.Fatal(err)
	}
	types := []string{"array", "boolean", "integer", "null", "number", "object", "string"}
	var walk func(v any, at string)
	walk = func(v any, at string) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x, at)
			}
		case map[string]any:
			if _, is := v["patternDescription"]; is {
				t.Errorf("%s has patternDescription", at)
			}
			list, _ := v["type"].([]any)
			if one, ok := v["type"].(string); ok {
				list = []any{one}
			}
			for _, one := range list {
				if s, _ := one.(string); !slices.Contains(types, s) && s != "http" && s != "apiKey" {
					t.Errorf("%s has the type %v", at, one)
				}
			}
			for k, x := range v {
				walk(x, at+"/"+k)
			}
		}
	}
	walk(document, "")
}
