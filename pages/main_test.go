package pages

import (
	"os"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
)

// chromium shows pages to all tests that want one.
var chromium testbrowser.Browser

func TestMain(m *testing.M) {
	code := m.Run()
	chromium.Close()
	os.Exit(code)
}
