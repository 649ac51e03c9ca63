package mail

import "context"

// SendRound sends what is due, as [Sender.Work] does every two seconds.
func (s *Sender) SendRound(ctx context.Context) (away bool, err error) { return s.round(ctx) }

// RemindNow queues the reminders that are due, as [Reminders.Work] does.
func (m *Reminders) RemindNow(ctx context.Context) error { return m.remindDue(ctx) }
