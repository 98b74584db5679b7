//! Limits of the server, each with its unit, default and reason.

use std::time::Duration;

/// What the server allows its peers. The default of each field is given with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections of all listeners together; further ones are closed as they come. 100,000:
    /// what the memory of a small machine holds while they idle. The limit on open files
    /// lowers it, less `FILES_RESERVED`.
    pub connections_max: usize,
    /// How long a connection may say nothing. None: pools keep connections for days, and dead
    /// peers are found by TCP keepalive.
    pub idle_time_max: Option<Duration>,
    /// How long a request may take to come, once it has begun; `REQUEST_RATE_MIN` adds to it.
    /// 60 s: longer than any stall of a working network, short enough that half requests of a
    /// broken peer do not pile up.
    pub request_time_max: Duration,
    /// Replies in bytes that wait for one peer, before no more requests are read from it. 32 MiB:
    /// clients that send a whole pipeline before they read would lock up at a few MiB, and the
    /// largest value must fit anyway.
    pub output_bytes_max: usize,
    /// Replies in bytes that wait in one worker, before each peer is held to
    /// `OUTPUT_BYTES_CROWDED`. 256 MiB: eight of the largest.
    pub output_bytes_worker_max: usize,
    /// How long a stop waits for what is in flight: syncs, and peers that read slowly. 10 s: less
    /// than service supervisors wait before they kill.
    pub stop_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 100_000,
            idle_time_max: None,
            request_time_max: Duration::from_mins(1),
            output_bytes_max: 32 << 20,
            output_bytes_worker_max: 256 << 20,
            stop_time_max: Duration::from_secs(10),
        }
    }
}

/// Bytes a second: each such share of a request that has come prolongs its time by a second, so
/// that a large value may come over a slow line. 16 KiB/s: a bad mobile connection.
pub(crate) const REQUEST_RATE_MIN: usize = 16 << 10;

/// Bytes of one request that may be kept while the rest of it comes. 128 MiB: twice the largest
/// batch that the store takes; each protocol refuses its own sooner.
pub(crate) const REQUEST_BYTES_MAX: usize = 128 << 20;

/// Replies in bytes that may wait for one peer while its worker holds too many. 256 KiB: a turn's
/// worth.
pub(crate) const OUTPUT_BYTES_CROWDED: usize = 256 << 10;

/// Open files that are not for connections: segments, logs, listeners, standard streams. 256: a
/// cabinet of 16 GiB has so many segments of 64 MiB.
pub(crate) const FILES_RESERVED: usize = 256;

/// Bytes read from one connection before the next one has its turn. 256 KiB: a pipeline of a
/// thousand requests; larger reads gain nothing.
pub(crate) const READ_BYTES_MAX: usize = 256 << 10;

/// Bytes read in one turn from all connections. 1 MiB: stays in the cache of one core.
pub(crate) const TURN_BYTES_MAX: usize = 1 << 20;

/// Bytes read in one turn from connections that are not known to bring more than their share of it.
/// 256 KiB: some milliseconds' work at the most.
pub(crate) const SHARED_BYTES_MAX: usize = 256 << 10;

/// That share at least, however many they are. 1 KiB: tens of requests.
pub(crate) const SHARE_BYTES_MIN: usize = 1 << 10;

/// Bytes read in one turn from connections that had more than their share, while others have
/// something too. 64 KiB: a millisecond's work, which is what those others wait.
pub(crate) const BULK_BYTES_MAX: usize = 64 << 10;

/// Connections that go on with what they brought earlier, in one turn, while others bring something
/// new. 1, for the same reason.
pub(crate) const GOING_ON_CROWDED: usize = 1;

/// As `GOING_ON_CROWDED`, while nobody brings anything new. 4: new requests may come meanwhile.
pub(crate) const GOING_ON_MAX: usize = 4;

/// Bytes of a buffer that is kept for the next request; larger ones are given back. 64 KiB: most
/// requests and replies.
pub(crate) const BUFFER_BYTES_KEPT: usize = 64 << 10;

/// Buffers that one worker keeps. 256: as many connections as one wait of the kernel reports.
pub(crate) const BUFFERS_KEPT: usize = 256;

/// How long a closed connection waits for the peer to close too, so that the last replies are not
/// lost to bytes that crossed them. 1 s: a few round trips across the world.
pub(crate) const LINGER_TIME: Duration = Duration::from_secs(1);

/// How long it waits if the peer has not even taken the last replies. 10 s: as long as a stop.
pub(crate) const LINGER_TIME_MAX: Duration = Duration::from_secs(10);

/// Connections to the operators' port at once; the oldest gives way. 64: they live for moments.
pub(crate) const ADMIN_CONNECTIONS_MAX: usize = 64;

/// How long a request to the operators' port may take. 5 s: a health check that takes longer has
/// failed.
pub(crate) const ADMIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes of a request to the operators' port. 8 KiB: what web servers commonly take.
pub(crate) const ADMIN_REQUEST_BYTES_MAX: usize = 8 << 10;
