//! Pages reach the database file without what SQLite left in their unused middle.
//!
//! `secure_delete` overwrites cells that are deleted and pages that are freed. Where SQLite moves cells between pages it writes a page anew
//! and leaves old bytes between its cell pointers and its cells: copies of rows which outlive them (docs/adr/0010). So
//! each page that is written to the file passes through here, and that middle is written as zeros. SQLite never reads it.
//!
//! The only unsafe code of the workspace: SQLite has no other way to look at a page between its cache and the file.

#![allow(unsafe_code, reason = "SQLite's files are reached through its C interface")]

use std::{
    cell::RefCell,
    ffi::{c_int, c_void},
    ptr, slice,
    sync::OnceLock,
};

use rusqlite::{
    Connection,
    ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods},
};

use crate::page::{PAGE_BYTES, unused};

/// How the operating system's files are worked, as SQLite brings it, and the same with `write_clean`.
struct Methods {
    original: &'static sqlite3_io_methods,
    clean: sqlite3_io_methods,
}

static METHODS: OnceLock<Methods> = OnceLock::new();

thread_local! {
    static PAGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Makes all pages that `connection` writes to its database file clean.
///
/// # Errors
/// SQLite does not say which file it is, or works it in a way of which nothing is known here.
pub(crate) fn clean_pages(connection: &Connection) -> rusqlite::Result<()> {
    let mut file: *mut sqlite3_file = ptr::null_mut();
    // SAFETY: the connection is open and borrowed for the call; this operation stores the pointer to its main file, which lives as long as it.
    let code = unsafe {
        ffi::sqlite3_file_control(connection.handle(), c"main".as_ptr(), ffi::SQLITE_FCNTL_FILE_POINTER, (&raw mut file).cast::<c_void>())
    };
    if code != ffi::SQLITE_OK || file.is_null() {
        return Err(refused("SQLite does not name its database file"));
    }
    // SAFETY: SQLite fills this field of each open file with one of its constants, which live as long as the process.
    let Some(current) = (unsafe { (*file).pMethods.as_ref::<'static>() }) else {
        return Err(refused("SQLite's database file is not open"));
    };
    let methods =
        METHODS.get_or_init(|| Methods { original: current, clean: sqlite3_io_methods { xWrite: Some(write_clean), ..*current } });
    if !ptr::eq(current, methods.original) && !ptr::eq(current, &raw const methods.clean) {
        return Err(refused("SQLite works its database files in more than one way"));
    }
    // SAFETY: nobody else uses the file yet: the connection is not shared, and no statement runs. The new methods are constants, too.
    unsafe { (*file).pMethods = &raw const methods.clean };
    Ok(())
}

fn refused(why: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ERROR), Some(why.to_owned()))
}

/// `xWrite` of a database file.
unsafe extern "C" fn write_clean(file: *mut sqlite3_file, data: *const c_void, amount: c_int, offset: sqlite3_int64) -> c_int {
    let Some((methods, write)) = METHODS.get().and_then(|methods| Some((methods, methods.original.xWrite?))) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    debug_assert!(methods.original.iVersion > 0);
    if usize::try_from(amount) != Ok(PAGE_BYTES) || offset < 0 || offset % i64::from(amount) != 0 {
        // SAFETY: handed on as it came.
        return unsafe { write(file, data, amount, offset) };
    }
    // SAFETY: SQLite hands over `amount` bytes, which are nobody's to change during the call.
    let page = unsafe { slice::from_raw_parts(data.cast::<u8>(), PAGE_BYTES) };
    let number = u64::try_from(offset / i64::from(amount)).unwrap_or_default() + 1;
    let dirty = unused(page, number).filter(|unused| page.get(unused.clone()).is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0)));
    let Some(dirty) = dirty else {
        // SAFETY: handed on as it came.
        return unsafe { write(file, data, amount, offset) };
    };
    PAGE.with_borrow_mut(|clean| {
        clean.clear();
        clean.extend_from_slice(page);
        if let Some(bytes) = clean.get_mut(dirty) {
            bytes.fill(0);
        }
        // SAFETY: `clean` holds as many bytes as came, and is not touched during the call.
        unsafe { write(file, clean.as_ptr().cast::<c_void>(), amount, offset) }
    })
}
