package pages

import (
	"html"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/markup"
)

var behind = strings.NewReplacer("@", "@<wbr>", ".", ".<wbr>")

// address is what {{address .}} writes: a name or an e-mail address that, where it is too long for a line, is
// broken behind @ and dots rather than in the middle of a word.
func address(args ...any) (any, error) {
	text, _ := args[0].(string)
	return markup.HTML(behind.Replace(html.EscapeString(text))), nil
}
