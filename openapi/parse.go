package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/yamltree"
)

// MaxBytes bounds a document before it is parsed.
const MaxBytes = 8 << 20

// Bounds of what is in it.
const (
	maxOperations = 5000
	maxRefs       = 16  // from one to the next
	maxScope      = 128 // characters of the name of a scope, as realms have them
	maxMeaning    = 200 // of what it means, in bytes
)

// object is a mapping of the document. Its values are object, []any, string, bool,
// nil, or a number of JSON.
type object = map[string]any

// parse reads the document into a tree.
func parse(document []byte) (object, error) {
	if len(document) > MaxBytes {
		return nil, fmt.Errorf("larger than %d bytes", MaxBytes)
	}
	var root any
	if bytes.HasPrefix(bytes.TrimLeft(document, " \t\r\n"), []byte("{")) {
		if err := exactjson.Unmarshal(document, &root); err != nil {
			return nil, err
		}
	} else {
		var err error
		if root, err = yamltree.Parse(document); err != nil {
			return nil, err
		}
	}
	doc, ok := root.(object)
	if !ok {
		return nil, errors.New("is not a mapping")
	}
	return doc, nil
}

// deref follows "$ref" inside the document. What stands beside a reference is
// added to what it points to, as OpenAPI 3.1 has it for path items; the same
// member in both is an error, since readers differ on which counts.
func (r *reader) deref(v any) (object, error) {
	beside := object{}
	for range maxRefs {
		o, ok := v.(object)
		if !ok {
			return nil, errors.New("is not a mapping")
		}
		ref, is := o["$ref"].(string)
		for k, member := range o {
			if k == "$ref" && is {
				continue
			}
			if _, twice := beside[k]; twice && k != "summary" && k != "description" {
				return nil, fmt.Errorf("%q stands beside a $ref and behind it", k)
			}
			beside[k] = member
		}
		if !is {
			return beside, nil
		}
		var err error
		if v, err = r.point(ref); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("its references go in a circle")
}

// point returns what a reference such as "#/components/pathItems/pet" points to
// (RFC 6901).
func (r *reader) point(ref string) (any, error) {
	pointer, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, fmt.Errorf("$ref %q points out of the document; bundle it first", ref)
	}
	var v any = r.doc
	for token := range strings.SplitSeq(pointer, "/") {
		if plain, err := url.PathUnescape(token); err == nil {
			token = plain
		}
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch at := v.(type) {
		case object:
			next, ok := at[token]
			if !ok {
				return nil, fmt.Errorf("$ref %q points to nothing", ref)
			}
			v = next
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(at) {
				return nil, fmt.Errorf("$ref %q points to nothing", ref)
			}
			v = at[i]
		default:
			return nil, fmt.Errorf("$ref %q points to nothing", ref)
		}
	}
	return v, nil
}
