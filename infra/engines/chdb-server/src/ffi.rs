//! The few C functions of `libchdb.so` that the server needs, and safe owners for what they return.
//!
//! This is the crate's only module with `unsafe`. The signatures follow `chdb.h` of the 26.5 release.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

use crate::exception::Exception;

type RawConnection = *mut c_void;
type RawResult = *mut c_void;

/// The engine's functions. The library stays loaded until the process ends, so they are always valid.
#[derive(Clone, Copy)]
pub(crate) struct Library {
    connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut RawConnection,
    close: unsafe extern "C" fn(*mut RawConnection),
    query: QueryFunction,
    stream: QueryFunction,
    fetch: unsafe extern "C" fn(RawConnection, RawResult) -> RawResult,
    cancel: unsafe extern "C" fn(RawConnection, RawResult),
    destroy: unsafe extern "C" fn(RawResult),
    buffer: unsafe extern "C" fn(RawResult) -> *mut c_char,
    length: unsafe extern "C" fn(RawResult) -> usize,
    error: unsafe extern "C" fn(RawResult) -> *const c_char,
    result_rows: CounterFunction,
    result_bytes: CounterFunction,
    storage_rows: CounterFunction,
    storage_bytes: CounterFunction,
    written_rows: CounterFunction,
    written_bytes: CounterFunction,
}

type CounterFunction = unsafe extern "C" fn(RawResult) -> u64;

/// Connection, statement and its length, format and its length, then names, values and their lengths,
/// and how many parameters there are.
type QueryFunction = unsafe extern "C" fn(
    RawConnection,
    *const c_char,
    usize,
    *const c_char,
    usize,
    *const *const c_char,
    *const usize,
    *const *const c_char,
    *const usize,
    usize,
) -> RawResult;

/// A query parameter's name (without `param_`) and its value.
pub(crate) type Parameter = (Vec<u8>, Vec<u8>);

impl Library {
    /// Loads `libchdb.so` and keeps the engine's signal handlers off.
    ///
    /// # Errors
    /// The file cannot be loaded, or lacks a function.
    pub(crate) fn load(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: loading runs the library's initialisers; the caller names a libchdb.so on purpose.
        let library = unsafe { libloading::Library::new(path)? };
        // SAFETY: every symbol is taken with the signature that chdb.h declares for it.
        let functions = unsafe {
            let set_signal_handlers: libloading::Symbol<'_, unsafe extern "C" fn(c_int)> =
                library.get(b"chdb_set_signal_handlers_enabled\0")?;
            set_signal_handlers(0);
            Self {
                connect: *library.get(b"chdb_connect\0")?,
                close: *library.get(b"chdb_close_conn\0")?,
                query: *library.get(b"chdb_query_with_params_n\0")?,
                stream: *library.get(b"chdb_stream_query_with_params_n\0")?,
                fetch: *library.get(b"chdb_stream_fetch_result\0")?,
                cancel: *library.get(b"chdb_stream_cancel_query\0")?,
                destroy: *library.get(b"chdb_destroy_query_result\0")?,
                buffer: *library.get(b"chdb_result_buffer\0")?,
                length: *library.get(b"chdb_result_length\0")?,
                error: *library.get(b"chdb_result_error\0")?,
                result_rows: *library.get(b"chdb_result_rows_read\0")?,
                result_bytes: *library.get(b"chdb_result_bytes_read\0")?,
                storage_rows: *library.get(b"chdb_result_storage_rows_read\0")?,
                storage_bytes: *library.get(b"chdb_result_storage_bytes_read\0")?,
                written_rows: *library.get(b"chdb_result_rows_written\0")?,
                written_bytes: *library.get(b"chdb_result_bytes_written\0")?,
            }
        };
        // The engine's threads outlive every owner we could give the library, so it is never unloaded.
        std::mem::forget(library);
        Ok(functions)
    }

    /// Opens a connection with these command-line arguments; `None` when the engine refuses.
    pub(crate) fn connect(self, arguments: &[&OsStr]) -> Option<Connection> {
        let arguments: Vec<CString> = arguments
            .iter()
            .map(|argument| CString::new(argument.as_bytes()))
            .collect::<Result<_, _>>()
            .ok()?;
        let mut pointers: Vec<*mut c_char> =
            arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
        let count = c_int::try_from(pointers.len()).ok()?;
        // SAFETY: `count` pointers to NUL-terminated strings that live until after the call.
        let handle = unsafe { (self.connect)(count, pointers.as_mut_ptr()) };
        NonNull::new(handle).map(|handle| Connection { library: self, handle })
    }
}

/// One connection, closed when dropped. Statements on it run one at a time.
pub(crate) struct Connection {
    library: Library,
    handle: NonNull<RawConnection>,
}

// SAFETY: the engine takes calls on a connection from any thread as long as they do not overlap, which
// `&mut self` on every method ensures.
unsafe impl Send for Connection {}

impl Connection {
    /// Runs one statement to its end and returns all of its output.
    ///
    /// # Errors
    /// What the engine answered.
    pub(crate) fn query(
        &mut self,
        statement: &[u8],
        format: &str,
        parameters: &[Parameter],
    ) -> Result<Output, Exception> {
        self.call(self.library.query, statement, format, parameters)
    }

    /// Starts a SELECT whose output is fetched a block at a time.
    ///
    /// # Errors
    /// What the engine answered, also when this kind of statement has no stream.
    pub(crate) fn stream(
        &mut self,
        statement: &[u8],
        format: &str,
        parameters: &[Parameter],
    ) -> Result<Stream<'_>, Exception> {
        let head = self.call(self.library.stream, statement, format, parameters)?;
        Ok(Stream { connection: self, head, finished: false })
    }

    fn call(
        &mut self,
        function: QueryFunction,
        statement: &[u8],
        format: &str,
        parameters: &[Parameter],
    ) -> Result<Output, Exception> {
        let names: Vec<*const c_char> = parameters.iter().map(|(name, _)| pointer(name)).collect();
        let name_lengths: Vec<usize> = parameters.iter().map(|(name, _)| name.len()).collect();
        let values: Vec<*const c_char> =
            parameters.iter().map(|(_, value)| pointer(value)).collect();
        let value_lengths: Vec<usize> = parameters.iter().map(|(_, value)| value.len()).collect();
        // SAFETY: the handle is open until drop; every pointer is paired with its length and outlives
        // the call, which copies what it keeps.
        let raw = unsafe {
            function(
                *self.handle.as_ptr(),
                pointer(statement),
                statement.len(),
                pointer(format.as_bytes()),
                format.len(),
                names.as_ptr(),
                name_lengths.as_ptr(),
                values.as_ptr(),
                value_lengths.as_ptr(),
                parameters.len(),
            )
        };
        Output::own(self.library, raw)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the handle came from `connect` and is closed once, here.
        unsafe { (self.library.close)(self.handle.as_ptr()) }
    }
}

/// A running SELECT; dropping it before its end cancels the query.
pub(crate) struct Stream<'connection> {
    connection: &'connection mut Connection,
    head: Output,
    finished: bool,
}

impl Stream<'_> {
    /// The next block of output; `None` at the end.
    ///
    /// # Errors
    /// The exception that ended the query.
    pub(crate) fn fetch(&mut self) -> Result<Option<Output>, Exception> {
        if self.finished {
            return Ok(None);
        }
        // SAFETY: connection and stream are alive, and `&mut self` keeps calls from overlapping.
        let raw = unsafe {
            (self.connection.library.fetch)(
                *self.connection.handle.as_ptr(),
                self.head.raw.as_ptr(),
            )
        };
        let block =
            Output::own(self.connection.library, raw).inspect_err(|_| self.finished = true)?;
        // A block without rows is the last: it holds the header of an empty result, the totals, or
        // nothing. Fetching past it is an error in some of these cases.
        if block.counters().result_rows == 0 {
            self.finished = true;
            if block.bytes().is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(block))
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        if !self.finished {
            // SAFETY: connection and stream are alive; the stream itself is destroyed after this.
            unsafe {
                (self.connection.library.cancel)(
                    *self.connection.handle.as_ptr(),
                    self.head.raw.as_ptr(),
                );
            }
        }
    }
}

/// What a query did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) result_rows: u64,
    pub(crate) result_bytes: u64,
    pub(crate) read_rows: u64,
    pub(crate) read_bytes: u64,
    pub(crate) written_rows: u64,
    pub(crate) written_bytes: u64,
}

/// Output that the engine owns until this is dropped.
pub(crate) struct Output {
    library: Library,
    raw: NonNull<c_void>,
}

impl Output {
    fn own(library: Library, raw: RawResult) -> Result<Self, Exception> {
        let Some(raw) = NonNull::new(raw) else {
            return Err(Exception::internal("the engine returned no result"));
        };
        let output = Self { library, raw };
        // SAFETY: the result is alive; its error is NULL or a NUL-terminated string that it owns.
        let error = unsafe {
            let error = (library.error)(raw.as_ptr());
            (!error.is_null()).then(|| CStr::from_ptr(error).to_string_lossy().into_owned())
        };
        match error {
            Some(text) => Err(Exception::from_engine(&text)),
            None => Ok(output),
        }
    }

    /// The formatted bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the result is alive as long as `self`, and so are the `length` bytes of its buffer.
        unsafe {
            let buffer = (self.library.buffer)(self.raw.as_ptr());
            let length = (self.library.length)(self.raw.as_ptr());
            if buffer.is_null() || length == 0 {
                &[]
            } else {
                std::slice::from_raw_parts(buffer.cast(), length)
            }
        }
    }

    /// What the query did, as far as this result tells.
    pub(crate) fn counters(&self) -> Counters {
        let raw = self.raw.as_ptr();
        // SAFETY: the result is alive; these functions only read it.
        unsafe {
            Counters {
                result_rows: (self.library.result_rows)(raw),
                result_bytes: (self.library.result_bytes)(raw),
                read_rows: (self.library.storage_rows)(raw),
                read_bytes: (self.library.storage_bytes)(raw),
                written_rows: (self.library.written_rows)(raw),
                written_bytes: (self.library.written_bytes)(raw),
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: the result came from the engine and is destroyed once, here.
        unsafe { (self.library.destroy)(self.raw.as_ptr()) }
    }
}

fn pointer(bytes: &[u8]) -> *const c_char {
    bytes.as_ptr().cast()
}

/// Ends the process at once, without the library's exit handlers, which can hang.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Lets the process open as many files as the system allows it to. The engine keeps about three open for
/// each of its threads, so that the usual 1,024 would end some hundreds of concurrent queries.
///
/// # Errors
/// What the operating system said; the old limit holds.
pub(crate) fn raise_open_files_limit() -> std::io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit, which the call fills in.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer is to a live rlimit, which the call reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}
