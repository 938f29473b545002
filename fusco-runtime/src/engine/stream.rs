//! Streams order launches; graphs replay them.

use super::device::{DeviceGraph, DeviceStream};
use super::home::Homes;
use super::{Error, Request};
use crate::host::HostStream;
use std::sync::{Arc, Mutex};

/// A queue of launches, in order on every rank.
pub struct Stream {
    kind: Kind,
    /// Workspaces of the programs that ran here.
    homes: Homes,
}

enum Kind {
    Host(HostStream),
    Device(DeviceStream),
    /// Notes launches instead of running them.
    Recorder(Mutex<Vec<Request>>),
}

/// Launches that were captured, with their arguments: dyns are frozen, index tensors are read anew.
pub struct Graph {
    replay: Replay,
}

enum Replay {
    List(Vec<Request>),
    Device(Arc<DeviceGraph>),
}

impl Stream {
    pub(crate) fn host(stream: HostStream) -> Stream {
        Stream { kind: Kind::Host(stream), homes: Homes::default() }
    }

    pub(crate) fn device(stream: DeviceStream) -> Stream {
        Stream { kind: Kind::Device(stream), homes: Homes::default() }
    }

    /// Waits for all launches.
    ///
    /// # Errors
    /// The first that a launch reported since the last call: F0906, F0908, F0910. Its plans are new again.
    pub fn synchronize(&self) -> Result<(), Error> {
        match &self.kind {
            Kind::Host(stream) => stream.synchronize(),
            Kind::Device(stream) => stream.synchronize(),
            Kind::Recorder(_) => {
                Err(Error::plan("a stream that captures cannot be synchronised".to_string()))
            }
        }
    }

    /// Whether everything submitted has ended.
    pub fn is_idle(&self) -> bool {
        match &self.kind {
            Kind::Host(stream) => stream.is_idle(),
            Kind::Device(stream) => stream.is_idle(),
            Kind::Recorder(_) => true,
        }
    }

    /// Runs `record` with a stream that notes its launches instead of running them.
    ///
    /// # Errors
    /// What `record` returns.
    pub fn capture(
        &self,
        record: impl FnOnce(&Stream) -> Result<(), Error>,
    ) -> Result<Graph, Error> {
        let recorder = Stream { kind: Kind::Recorder(Mutex::default()), homes: Homes::default() };
        record(&recorder)?;
        let homes = recorder.homes;
        let Kind::Recorder(launches) = recorder.kind else {
            return Ok(Graph { replay: Replay::List(Vec::new()) });
        };
        let mut launches = launches.into_inner().unwrap_or_else(|e| e.into_inner());
        let replay = match &self.kind {
            Kind::Device(stream) => {
                launches.iter_mut().try_for_each(|request| homes.move_in(request))?;
                Replay::Device(Arc::new(stream.record(launches)?))
            }
            Kind::Host(_) | Kind::Recorder(_) => Replay::List(launches),
        };
        Ok(Graph { replay })
    }

    pub(crate) fn submit(&self, mut request: Request) -> Result<(), Error> {
        if let Kind::Recorder(launches) = &self.kind {
            launches.lock().unwrap_or_else(|e| e.into_inner()).push(request);
            return Ok(());
        }
        self.homes.move_in(&mut request)?;
        match &self.kind {
            Kind::Host(stream) => stream.submit(&request),
            Kind::Device(stream) => stream.submit(request),
            Kind::Recorder(_) => Ok(()),
        }
    }
}

impl Graph {
    /// Queues the captured launches again.
    pub fn launch(&self, stream: &Stream) -> Result<(), Error> {
        match (&self.replay, &stream.kind) {
            (Replay::List(launches), _) => {
                launches.iter().try_for_each(|request| stream.submit(request.clone()))
            }
            (Replay::Device(graph), Kind::Device(stream)) => stream.replay(graph),
            (Replay::Device(_), _) => {
                Err(Error::plan("a graph of a CUDA world needs a stream of that world".to_string()))
            }
        }
    }
}
