package documents

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// SubjectHeader is the line in which a gateway in front says who calls; it owns
// what is created without an owner.
const SubjectHeader = "X-Gatehouse-Subject"

// maxRequest bounds a request body; JSON may write a character of the document
// as six bytes.
const maxRequest = 6*MaxBody + 4<<10

const defaultPage, maxPage = 100, 500

// New returns the API with an empty store in memory.
func New() http.Handler {
	return NewHandler(&Store{now: time.Now, docs: map[string]Document{}})
}

// NewHandler returns the API over s.
func NewHandler(s *Store) http.Handler {
	a := &api{s}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /public", message("Hello, world!"))
	mux.HandleFunc("GET /private", message("This is the private page"))
	mux.HandleFunc("GET /documents", a.list)
	mux.HandleFunc("POST /documents", a.create)
	mux.HandleFunc("GET /documents/{id}", a.get)
	mux.HandleFunc("PUT /documents/{id}", a.update)
	mux.HandleFunc("DELETE /documents/{id}", a.remove)
	return mux
}

type api struct{ store *Store }

// input is what a caller may send; the other members are the server's.
type input struct {
	Title      string     `json:"title"`
	Body       string     `json:"body"`
	Owner      string     `json:"owner"`
	Team       string     `json:"team"`
	Visibility Visibility `json:"visibility"`
}

func (in input) document() Document {
	return Document{Title: in.Title, Body: in.Body, Owner: in.Owner, Team: in.Team, Visibility: in.Visibility}
}

func message(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"message": text})
	}
}

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	limit := defaultPage
	if s := r.URL.Query().Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPage {
			fail(w, http.StatusBadRequest, "limit must be a number from 1 to 500")
			return
		}
		limit = n
	}
	reply(w, http.StatusOK, map[string]any{"documents": a.store.List(r.URL.Query().Get("after"), limit)})
}

func (a *api) create(w http.ResponseWriter, r *http.Request) {
	in, ok := decode(w, r)
	if !ok {
		return
	}
	if in.Owner == "" {
		in.Owner = r.Header.Get(SubjectHeader)
	}
	d, err := a.store.Create(in.document())
	if err != nil {
		failWith(w, err)
		return
	}
	w.Header().Set("Location", "/documents/"+d.ID)
	reply(w, http.StatusCreated, d)
}

func (a *api) get(w http.ResponseWriter, r *http.Request) {
	d, err := a.store.Get(r.PathValue("id"))
	if err != nil {
		failWith(w, err)
		return
	}
	reply(w, http.StatusOK, d)
}

func (a *api) update(w http.ResponseWriter, r *http.Request) {
	in, ok := decode(w, r)
	if !ok {
		return
	}
	d, err := a.store.Update(r.PathValue("id"), in.document())
	if err != nil {
		failWith(w, err)
		return
	}
	reply(w, http.StatusOK, d)
}

func (a *api) remove(w http.ResponseWriter, r *http.Request) {
	if err := a.store.Delete(r.PathValue("id")); err != nil {
		failWith(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// decode reads the body strictly; on failure it has answered.
func decode(w http.ResponseWriter, r *http.Request) (input, bool) {
	var in input
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		fail(w, http.StatusUnsupportedMediaType, "the body must be application/json")
		return in, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			fail(w, http.StatusRequestEntityTooLarge, "the body is too large")
		} else {
			fail(w, http.StatusBadRequest, "the body could not be read")
		}
		return in, false
	}
	if err := json.Unmarshal(body, &in, json.RejectUnknownMembers(true)); err != nil {
		fail(w, http.StatusBadRequest, "the body is not the JSON of a document")
		return in, false
	}
	return in, true
}

func failWith(w http.ResponseWriter, err error) {
	var invalid *InvalidError
	switch {
	case errors.Is(err, ErrNotFound):
		fail(w, http.StatusNotFound, err.Error())
	case errors.Is(err, ErrFull):
		fail(w, http.StatusInsufficientStorage, err.Error())
	case errors.As(err, &invalid):
		fail(w, http.StatusUnprocessableEntity, err.Error())
	default:
		fail(w, http.StatusInternalServerError, "something went wrong")
	}
}

func fail(w http.ResponseWriter, status int, text string) {
	reply(w, status, map[string]string{"error": text})
}

func reply(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":"something went wrong"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}
