package commands

// resume takes back suspend, suspendlistener and suspenddel (reference
// esa-operations 3.5).
func resume() Command {
	return Command{
		Name:  "resume",
		Short: "Resume receiving and deliveries.",
		Forms: []Form{{Usage: "resume", Run: func(d *Dialog, env Env, _ []string) error {
			if err := changeSuspension(env, func(s *Suspension) { *s = Suspension{} }); err != nil {
				return err
			}
			d.Text("Receiving resumed.\nMail delivery resumed.")
			return d.Err()
		}}},
	}
}
