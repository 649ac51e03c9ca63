package adminhttp

import (
	"fmt"
	"testing"
)

func TestX(t *testing.T) {
	b, err := Document("test")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(len(b))
	fmt.Println(string(b))
}
