package store

// LocalSource is where sessions come from whom the kernel, and not an account,
// has let in: those of the machine itself.
const LocalSource = "console"

// expel ends the sessions of users who are gone, with what they have pending,
// and those from the network of users who were locked.
//
// Their pending changes have left the database with the revision. What an edit
// that was under way has stored since then is dropped here; where the disk
// fails just now it stays, and nobody but a new user of the same name would be
// offered it.
func (s *Store) expel(before, after *Config) {
	for _, session := range s.live() {
		was, known := before.User(session.who.User)
		u, stays := after.User(session.who.User)
		switch {
		case known && !stays:
			_ = session.expel(true)
		case stays && u.Suspended && !was.Suspended && session.who.Source != LocalSource:
			_ = session.expel(false)
		}
	}
}

// expel says that the session must end. One whose user is gone can do nothing
// more, and what it has pending is dropped.
func (s *Session) expel(gone bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.expelled:
	default:
		close(s.expelled)
	}
	if !gone || s.closed {
		return nil
	}
	s.closed = true
	s.base.Store(0)
	err := s.store.deletePending(s.record)
	s.pending, s.baseConfig = nil, nil
	s.edits++
	s.store.remove(s)
	return err
}
