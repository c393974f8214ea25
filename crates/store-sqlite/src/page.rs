//! What a page of the database file consists of, as far as its unused bytes go.
//!
//! Facts: <https://www.sqlite.org/fileformat2.html>.

use std::ops::Range;

/// Bytes of a page: see docs/adr/0004.
pub(crate) const PAGE_BYTES: usize = 8 << 10;

/// Pages that a database may have: up to here no page of another kind begins with the byte of a b-tree page, since overflow pages and free
/// pages begin with a page number. 256 GiB.
pub(crate) const PAGES_MAX: u32 = (1 << 25) - 1;

/// Bytes of the file's header, on the first page.
const FILE_HEADER_BYTES: usize = 100;
/// SQLite locks this byte, and keeps nothing on its page.
const LOCK_BYTE: u64 = 0x4000_0000;
/// Bytes of one entry of a pointer-map page.
const MAP_ENTRY_BYTES: u64 = 5;

/// The bytes between the cell pointers and the cells of a b-tree page: nothing of the database, but SQLite leaves there what stood there
/// before. `None` for pages of other kinds, and for what does not look like SQLite wrote it.
pub(crate) fn unused(page: &[u8], number: u64) -> Option<Range<usize>> {
    let header = if number == 1 { FILE_HEADER_BYTES } else { 0 };
    let header_bytes = match page.get(header)? {
        2 | 5 => 12,
        10 | 13 => 8,
        _ => return None,
    };
    if is_pointer_map(number, page.len() as u64) {
        return None;
    }
    let cells = read_u16(page, header + 3)?;
    let content = match read_u16(page, header + 5)? {
        0 => 1 << 16,
        content => content,
    };
    let start = header + header_bytes + 2 * cells;
    (start <= content && content <= page.len()).then_some(start..content)
}

fn read_u16(page: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes([*page.get(at)?, *page.get(at + 1)?])))
}

/// Whether a page of a database that can be vacuumed in steps says whose the pages behind it are.
fn is_pointer_map(number: u64, page_bytes: u64) -> bool {
    let Some(from_first) = number.checked_sub(2) else { return false };
    let apart = page_bytes / MAP_ENTRY_BYTES + 1;
    let map = from_first / apart * apart + 2;
    let lock_page = LOCK_BYTE / page_bytes + 1;
    number == if map == lock_page { map + 1 } else { map }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(cells: u16, content: u16) -> Vec<u8> {
        let mut page = vec![0xAA; PAGE_BYTES];
        page[0] = 13;
        page[3..5].copy_from_slice(&cells.to_be_bytes());
        page[5..7].copy_from_slice(&content.to_be_bytes());
        page
    }

    #[test]
    fn what_lies_between_pointers_and_cells_is_unused() {
        assert_eq!(unused(&leaf(3, 4_000), 3), Some(14..4_000));
        let mut inner = leaf(3, 4_000);
        inner[0] = 5;
        assert_eq!(unused(&inner, 3), Some(18..4_000));
        let mut first = vec![0xAA; 100];
        first.extend(leaf(3, 4_000));
        first.truncate(PAGE_BYTES);
        assert_eq!(unused(&first, 1), Some(114..4_000));
    }

    #[test]
    fn pages_of_other_kinds_are_left_alone() {
        assert_eq!(unused(&[0; PAGE_BYTES], 3), None);
        for first_byte in [0, 1, 3, 4, 6, 9, 11, 12, 14, 255] {
            let mut page = leaf(3, 4_000);
            page[0] = first_byte;
            assert_eq!(unused(&page, 3), None, "{first_byte}");
        }
        // Pages 2, 2 + 1639, … of this size map the pages behind them, whatever they begin with.
        for map in [2, 1_641, 3_280] {
            assert_eq!(unused(&leaf(3, 4_000), map), None, "{map}");
            assert!(unused(&leaf(3, 4_000), map + 1).is_some(), "{map}");
        }
    }

    #[test]
    fn the_map_steps_aside_for_the_page_of_the_lock() {
        // No power of two brings the two together, so this size is invented.
        let page_bytes = (512..=65_536_u64).find(|bytes| (LOCK_BYTE / bytes - 1).is_multiple_of(bytes / 5 + 1)).unwrap();
        let lock_page = LOCK_BYTE / page_bytes + 1;
        assert!(!is_pointer_map(lock_page, page_bytes));
        assert!(is_pointer_map(lock_page + 1, page_bytes));
    }

    #[test]
    fn what_sqlite_would_not_write_is_left_alone() {
        // A content area that begins at 0 stands for 65,536, behind the end of this page.
        for (cells, content) in [(3, 13), (u16::MAX, 4_000), (0, 8_193), (3, 0)] {
            assert_eq!(unused(&leaf(cells, content), 3), None, "{cells} {content}");
        }
        assert_eq!(unused(&[], 3), None);
        assert_eq!(unused(&[13], 3), None);
    }
}
