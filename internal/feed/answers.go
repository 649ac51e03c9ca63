package feed

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// answerTime is how long a node may take to answer what it is asked: it tells nothing
	// else meanwhile.
	answerTime = 250 * time.Millisecond
	// answerWait is for how long an answer is waited for when all else is known.
	answerWait = 500 * time.Millisecond
	// answerKept is for how long answers are told: nobody waits for longer.
	answerKept = 35 * time.Second
	maxAnswers = 16 // at a time; of more, the oldest are given up
)

// answers are what this node was asked, by the rows that asked it, and what it answered.
type answers struct {
	mu    sync.Mutex
	asked []asked // the newest one last
}

type asked struct {
	row    uint64
	at     time.Time
	answer func(context.Context) string // nil: it has been called
	text   string
}

func (a *answers) ask(row uint64, answer func(context.Context) string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.ContainsFunc(a.asked, func(q asked) bool { return q.row == row }) { // rows may come twice
		return
	}
	if len(a.asked) >= maxAnswers {
		a.asked = slices.Delete(a.asked, 0, len(a.asked)-maxAnswers+1)
	}
	a.asked = append(a.asked, asked{row: row, at: time.Now(), answer: answer})
}

// text is what is told of them, in JSON; "" where there are none. What a position that was
// applied has seen is answered first: by what this node knows from then on.
func (a *answers) text(ctx context.Context, position string) string {
	due := a.due(position)
	answering, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for i := range due {
		due[i].text = due[i].answer(answering)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	told := map[uint64]string{}
	for i := range a.asked {
		for _, q := range due {
			if a.asked[i].row == q.row {
				a.asked[i].text, a.asked[i].answer = q.text, nil
			}
		}
		if a.asked[i].answer == nil {
			told[a.asked[i].row] = a.asked[i].text
		}
	}
	if len(told) == 0 {
		return ""
	}
	text, err := json.Marshal(told)
	if err != nil {
		return "" // text that is none
	}
	return string(text)
}

// due are those to be answered; what nobody waits for any more is forgotten.
func (a *answers) due(position string) (due []asked) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = slices.DeleteFunc(a.asked, func(q asked) bool { return time.Since(q.at) > answerKept })
	for _, q := range a.asked {
		if q.answer != nil && sees(position, q.row) {
			due = append(due, q)
		}
	}
	return due
}

// readAnswers reads what another node told; what cannot be read is no answer.
func readAnswers(text *string) (out map[uint64]string) {
	if text != nil && *text != "" && json.Unmarshal([]byte(*text), &out) != nil {
		return nil
	}
	return out
}
