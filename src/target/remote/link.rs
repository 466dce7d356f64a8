//! The thread that owns the line: opens it, says what is wanted, takes in what comes, and opens it again when it breaks.

use super::mirror::Home;
use super::transport::{Errors, Line, LineError};
use super::{Phase, Shared, State, equip};
use crate::target::Notice;
use crate::target::agent::protocol::{self, Answer, Found, Request};
use std::collections::{HashMap, VecDeque};
use std::io::BufReader;
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Waits after a line broke: the first, doubled up to the last.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LAST_DELAY: Duration = Duration::from_secs(30);

/// Between two tries where somebody has to change something first (a wrong password must not lock the account).
const REFUSED_DELAY: Duration = Duration::from_secs(60);

/// How often something is said on an idle line.
const PING: Duration = Duration::from_secs(10);

/// A line on which nothing was heard for so long is dead.
const SILENCE: Duration = Duration::from_secs(35);

/// How long a process may take to end once its streams are closed.
const CHILD_PATIENCE: Duration = Duration::from_secs(2);

pub(super) enum Event {
    /// Something is wanted.
    Wake,
    /// From the line of that number.
    Frame(u64, Answer, Vec<u8>),
    /// The line of that number ended; why, if it was not just cut.
    Closed(u64, String),
}

/// How a session ended.
pub(super) enum End {
    /// The line broke.
    Lost(LineError),
    /// Nothing is wanted any more.
    Left,
}

pub(super) struct Link {
    shared: Arc<Shared>,
    waker: Sender<Event>,
    events: Receiver<Event>,
    line: u64,
}

/// One line, from hello to its end.
pub(super) struct Session<'a> {
    shared: &'a Shared,
    events: &'a Receiver<Event>,
    line: u64,
    input: ChildStdin,
    heard: Instant,
    said: Instant,
    question: u64,
    answers: HashMap<u64, Result<Found, String>>,
    greeted: bool,
    /// For each ping that was not answered, what was said before it and needs no answer: the agent does one after the other.
    unconfirmed: VecDeque<Vec<Request>>,
    /// Why the line broke, by the reader.
    closed: Option<String>,
}

impl Link {
    pub(super) fn new(shared: Arc<Shared>, waker: Sender<Event>, events: Receiver<Event>) -> Self {
        Self {
            shared,
            waker,
            events,
            line: 0,
        }
    }

    pub(super) fn run(mut self) {
        let mut delay = FIRST_DELAY;
        loop {
            if self.shared.state().leaving {
                return;
            }
            let error = match self.shared.transport.open() {
                Ok(line) => match self.session(line) {
                    (End::Left, _) => return,
                    (End::Lost(error), greeted) => {
                        if greeted {
                            delay = FIRST_DELAY;
                        }
                        error
                    }
                },
                Err(error) => error,
            };
            let wait = match error {
                LineError::Refused(_) => REFUSED_DELAY,
                LineError::Unreachable(_) => delay,
            };
            self.down(error);
            if self.pause(wait) {
                return;
            }
            delay = (delay * 2).min(LAST_DELAY);
        }
    }

    /// Waits; true if nothing is wanted any more.
    fn pause(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            match self.events.recv_timeout(left) {
                Ok(_) if self.shared.state().leaving => return true,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
            }
        }
    }

    fn down(&self, error: LineError) {
        let mut state = self.shared.state();
        let since = match &state.phase {
            Phase::Down { since, .. } => *since,
            phase => {
                let (LineError::Unreachable(reason) | LineError::Refused(reason)) = &error;
                let name = &self.shared.options.name;
                let runs = match phase {
                    Phase::Up => "; its trials run on",
                    _ => "",
                };
                let message = format!("target `{name}` cannot be reached: {reason}{runs}; it is tried again");
                state.notices.push(Notice {
                    code: "target-lost",
                    message,
                });
                Instant::now()
            }
        };
        state.phase = Phase::Down { since, error };
        self.shared.ring(&state);
    }

    /// Lives through one line; tells whether the agent answered on it.
    fn session(&mut self, line: Line) -> (End, bool) {
        self.line += 1;
        let Line {
            mut child,
            input,
            output,
            errors,
        } = line;
        if let Err(error) = listen(self.line, output, self.waker.clone()) {
            end(&mut child);
            return (End::Lost(LineError::Unreachable(error.to_string())), false);
        }
        let mut session = Session {
            shared: &self.shared,
            events: &self.events,
            line: self.line,
            input,
            heard: Instant::now(),
            said: Instant::now(),
            question: 0,
            answers: HashMap::new(),
            greeted: false,
            unconfirmed: VecDeque::new(),
            closed: None,
        };
        let ending = session.live();
        let (greeted, closed) = (session.greeted, session.closed.take());
        // Said into a line that was cut: on the next one again, all of it can be done twice.
        for request in session.unconfirmed.drain(..).flatten().rev() {
            self.shared.state().outbox.push_front(request);
        }
        // The agent, and with it the process, ends when its input does.
        drop(session);
        end(&mut child);
        let ending = match (ending, closed) {
            (End::Lost(_), Some(words)) => End::Lost(self.explain(&words, &errors)),
            (ending, _) => ending,
        };
        (ending, greeted)
    }

    fn explain(&self, words: &str, errors: &Errors) -> LineError {
        let said = errors.last_line();
        let text = match (said.as_str(), words) {
            ("", "") => "the line was cut",
            ("", words) => words,
            (said, _) => said,
        };
        self.shared.transport.explain(text)
    }
}

impl Session<'_> {
    fn live(&mut self) -> End {
        match self.converse() {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    fn converse(&mut self) -> Result<std::convert::Infallible, End> {
        let sweep = {
            let state = self.shared.state();
            state.luggage.as_ref().map(|luggage| luggage.sweep.clone())
        };
        let starter = self.shared.transport.starter();
        let sweep = sweep.unwrap_or_default();
        self.say(&Request::Hello { sweep, starter }, &[])?;
        while !self.greeted {
            self.take(PING)?;
        }
        loop {
            self.sync()?;
            let luggage = {
                let state = self.shared.state();
                if state.equipment.is_none() {
                    state.luggage.clone()
                } else {
                    None
                }
            };
            if let Some(luggage) = luggage {
                let equipment = equip::equip(self, &luggage)?;
                let mut state = self.shared.state();
                if state.luggage.as_ref() == Some(&luggage) {
                    state.equipment = Some(equipment);
                }
                self.shared.ring(&state);
                continue;
            }
            let pruning = self.shared.state().pruning.take();
            if let Some((age_seconds, dry)) = pruning {
                let found = self.ask(|id| Request::Prune { id, age_seconds, dry })?;
                let mut state = self.shared.state();
                state.pruned = Some(match found {
                    Ok(Found::Pruned(pruned)) => Ok(pruned),
                    Ok(_) => Err("its agent answers another question than was asked".into()),
                    Err(reason) => Err(reason),
                });
                self.shared.ring(&state);
                continue;
            }
            self.take(PING)?;
        }
    }

    /// Says something.
    pub(super) fn say(&mut self, request: &Request, body: &[u8]) -> Result<(), End> {
        self.said = Instant::now();
        // The reader knows why.
        protocol::write(&mut self.input, request, body).map_err(|error| self.broken(error.to_string()))
    }

    /// The line does not take anything any more; its reader may know why.
    fn broken(&mut self, words: String) -> End {
        let until = Instant::now() + CHILD_PATIENCE;
        while self.closed.is_none() {
            match self
                .events
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(Event::Closed(line, why)) if line == self.line => self.closed = Some(why),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        End::Lost(LineError::Unreachable(words))
    }

    /// Asks something and waits for the answer, while everything else goes on.
    pub(super) fn ask(&mut self, make: impl FnOnce(u64) -> Request) -> Result<Result<Found, String>, End> {
        self.question += 1;
        let id = self.question;
        self.say(&make(id), &[])?;
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return Ok(answer);
            }
            self.sync()?;
            self.take(PING)?;
        }
    }

    /// A line for people who wait.
    pub(super) fn tell(&self, line: String) {
        let mut state = self.shared.state();
        state.lines.push(line);
        self.shared.changed.notify_all();
    }

    /// Waits for what comes next, at most `patience`, and takes in all there is.
    pub(super) fn take(&mut self, patience: Duration) -> Result<(), End> {
        let first = match self.events.recv_timeout(patience) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Err(End::Left),
        };
        if let Some(event) = first {
            self.event(event)?;
            // Not for ever: what is wanted must be said, too.
            for _ in 0..256 {
                match self.events.try_recv() {
                    Ok(event) => self.event(event)?,
                    Err(_) => break,
                }
            }
        }
        if self.heard.elapsed() > SILENCE {
            self.shared.transport.distrust();
            let silence = format!("nothing was heard for {} s", SILENCE.as_secs());
            return Err(End::Lost(LineError::Unreachable(silence)));
        }
        if self.said.elapsed() >= PING {
            self.ping(Vec::new())?;
        }
        Ok(())
    }

    fn ping(&mut self, said: Vec<Request>) -> Result<(), End> {
        self.unconfirmed.push_back(said);
        self.say(&Request::Ping, &[])
    }

    fn event(&mut self, event: Event) -> Result<(), End> {
        match event {
            Event::Wake => {}
            Event::Frame(line, answer, body) if line == self.line => {
                self.heard = Instant::now();
                self.frame(answer, &body);
            }
            Event::Closed(line, words) if line == self.line => {
                self.closed = Some(words.clone());
                return Err(End::Lost(LineError::Unreachable(words)));
            }
            // Of a line that is gone.
            Event::Frame(..) | Event::Closed(..) => {}
        }
        Ok(())
    }

    fn frame(&mut self, answer: Answer, body: &[u8]) {
        let mut guard = self.shared.state();
        let state = &mut *guard;
        match answer {
            Answer::Hello(machine) => {
                self.greeted = true;
                if let Phase::Down { since, .. } = &state.phase {
                    let name = &self.shared.options.name;
                    let message = format!(
                        "target `{name}` was reached again after {} s",
                        since.elapsed().as_secs()
                    );
                    state.notices.push(Notice {
                        code: "target-found",
                        message,
                    });
                }
                state.phase = Phase::Up;
                state.machine = Some(machine);
                for tracked in state.attempts.values_mut() {
                    tracked.new_line();
                }
            }
            Answer::Found { id, found } => {
                self.answers.insert(id, found);
                return;
            }
            Answer::Progress { line } => state.lines.push(line),
            Answer::Notice { message } => state.notices.push(Notice {
                code: "target",
                message: format!("target `{}`: {message}", self.shared.options.name),
            }),
            Answer::Pong => {
                self.unconfirmed.pop_front();
                return;
            }
            Answer::Busy => return,
            Answer::Journal { run, offset } => attempt(state, &run, |tracked| {
                if tracked.journal(offset, body).is_err() {
                    // A full disk here: from where it stands, later.
                    tracked.followed = false;
                }
            }),
            Answer::Log { run, offset } => {
                attempt(state, &run, |tracked| {
                    // A log that cannot be kept comes as a piece at the end.
                    let _ = tracked.log(offset, body);
                });
                return;
            }
            Answer::Life { run, life } => attempt(state, &run, |tracked| tracked.lives(life)),
            Answer::Piece { run, piece } => {
                attempt(state, &run, |tracked| tracked.piece(&piece, body));
                return;
            }
            Answer::Data { run } => {
                attempt(state, &run, |tracked| tracked.data(body));
                return;
            }
            Answer::Collected { run } => attempt(state, &run, super::mirror::Tracked::collected),
        }
        self.shared.ring(state);
    }

    /// Says what is wanted and was not said on this line.
    pub(super) fn sync(&mut self) -> Result<(), End> {
        let here = self.shared.transport.agent_is_here();
        let (requests, others, leaving) = {
            let mut state = self.shared.state();
            let mut requests: Vec<Request> = Vec::new();
            for tracked in state.attempts.values_mut() {
                wanted(tracked, here, &mut requests);
            }
            let others: Vec<Request> = state.outbox.drain(..).collect();
            (requests, others, state.leaving)
        };
        for request in requests {
            self.say(&request, &[])?;
        }
        if !others.is_empty() {
            // Kept first: the line may break while they are said.
            self.unconfirmed.push_back(others.clone());
            for request in &others {
                self.say(request, &[])?;
            }
            self.unconfirmed.pop_back();
            self.ping(others)?;
        }
        if leaving { Err(End::Left) } else { Ok(()) }
    }
}

/// What is to be said of one attempt.
fn wanted(tracked: &mut super::mirror::Tracked, here: bool, requests: &mut Vec<Request>) {
    if tracked.home == Home::Done {
        return;
    }
    if !tracked.submitted
        && tracked.home == Home::Not
        && let Some(spec) = &tracked.spec
    {
        tracked.submitted = true;
        tracked.untold = false;
        requests.push(Request::Submit {
            run: tracked.run.clone(),
            spec: spec.clone(),
        });
    }
    if !tracked.followed && tracked.due.is_none_or(|due| due <= Instant::now()) {
        tracked.followed = true;
        requests.push(Request::Follow {
            run: tracked.run.clone(),
            journal: tracked.received,
            log: tracked.log,
            home: here.then(|| tracked.folder.clone()),
        });
    }
    if tracked.cancel && !tracked.cancel_sent && tracked.home == Home::Not {
        tracked.cancel_sent = true;
        requests.push(Request::Cancel {
            run: tracked.run.clone(),
        });
    }
    if tracked.home == Home::Wanted {
        tracked.home = Home::Coming;
        requests.push(Request::Collect {
            run: tracked.run.clone(),
            skip: tracked.pieces,
            log: tracked.log,
        });
    }
}

fn attempt(state: &mut State, run: &str, act: impl FnOnce(&mut super::mirror::Tracked)) {
    // One that was forgotten: what is still under way is of no use.
    if let Some(tracked) = state.attempts.values_mut().find(|tracked| tracked.run == run) {
        act(tracked);
    }
}

/// Reads frames in a thread of its own.
fn listen(line: u64, output: ChildStdout, out: Sender<Event>) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("answers".into())
        .spawn(move || {
            let mut output = BufReader::with_capacity(256 << 10, output);
            let mut read = || -> std::io::Result<()> {
                protocol::skip_to_greeting(&mut output)?;
                loop {
                    let (answer, body) = protocol::read(&mut output)?;
                    if out.send(Event::Frame(line, answer, body)).is_err() {
                        return Ok(());
                    }
                }
            };
            let words = match read() {
                Err(error)
                    if error.kind() == std::io::ErrorKind::UnexpectedEof && error.get_ref().is_none() =>
                {
                    String::new()
                }
                Err(error) => error.to_string(),
                Ok(()) => String::new(),
            };
            let _ = out.send(Event::Closed(line, words));
        })?;
    Ok(())
}

/// Waits a moment for the process to end, then ends it.
fn end(child: &mut Child) {
    let until = Instant::now() + CHILD_PATIENCE;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= until {
            // Ended meanwhile is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
