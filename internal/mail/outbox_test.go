package mail

import (
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// TestKept: what is written in the place of being sent can be read again as it was, in every language, the newest first and so many
// of them; what is no message of ours is not, and nothing outside of the directory.
func TestKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	set := Settings{Outbox: dir, From: mail.Address{Address: "id@example.com"}}
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	link := "https://id.example/recover/new?code=" + strings.Repeat("A", 26)
	var ids []string
	var sent []written
	for i, language := range []string{"en", "de", "fr", "es", "ja"} {
		w, err := write(KindResetLink, language, "https://id.example", Data{Account: "zoë", At: at, Ends: at.Add(time.Hour), Link: link})
		if err != nil {
			t.Fatal(err)
		}
		id := gatehouse.NewID("mail", at.Add(time.Duration(i)*time.Second))
		if err := set.send(t.Context(), letter{written: w, id: id, to: "zoe@example.com", date: at}); err != nil {
			t.Fatal(err)
		}
		ids, sent = append(ids, id), append(sent, w)
	}
	for name, text := range map[string]string{"mail_zz.eml": "no message", "note.eml": "Subject: x\r\n\r\nx", ".mail-1": "half of one"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := KeptIn(dir, 4)
	if err != nil || len(kept) != 4 {
		t.Fatalf("%d messages, %v", len(kept), err)
	}
	for i, k := range kept {
		want := len(ids) - 1 - i
		w := sent[want]
		if k.ID != ids[want] || k.To != "zoe@example.com" || k.Subject != w.Subject || !k.Date.Equal(at) || k.Plain != w.Plain || k.HTML != w.HTML || !strings.Contains(k.Plain, link) {
			t.Errorf("%+v, want %s of %+v", k, ids[want], w)
		}
	}
	outside := filepath.Join(filepath.Dir(dir), ids[0]+".eml")
	if err := os.Rename(filepath.Join(dir, ids[0]+".eml"), outside); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{ids[0], "../" + ids[0], "", "mail_zz", "note", "mail_", strings.Repeat("m", 300), "mail_\x00"} {
		if k, err := ReadKept(dir, id); gatehouse.KindOf(err) != gatehouse.NotFound {
			t.Errorf("%q: %+v, %v", id, k, err)
		}
	}
}
