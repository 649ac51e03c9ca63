package pages

import (
	"embed"

	"github.com/gatehouse-auth/gatehouse/internal/markup"
)

//go:embed templates/*.html
var templates embed.FS // read-only

// dress is what pages are drawn with. It is immutable.
type dress struct {
	templates *markup.Set
	languages []*language
}

// functions are what templates may call.
var functions = [...]string{"t", "icon", "address", "postform", "elsewhere", "hiddenframe", "onward"}

// ownDress is that of the program.
func ownDress() (*dress, error) {
	set, err := markup.Parse(templates, "templates/*.html", functions[:]...)
	if err != nil {
		return nil, err
	}
	languages, err := readLanguages()
	if err != nil {
		return nil, err
	}
	return &dress{set, languages}, nil
}

// Wear has the pages drawn with the texts and templates of an operator from now on; nil: with ours. A page that is being
// drawn keeps what it began with.
func (h *Handler) Wear(o *Overrides) {
	if o == nil {
		h.dress.Store(h.ours)
		return
	}
	h.dress.Store(o.dress)
}
