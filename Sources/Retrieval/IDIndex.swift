internal import CXXHash
internal import Glibc
internal import Tables

/// Finds the row of an id: an open-addressing hash table over XXH3 (64 bits, seed 0) of the id.
///
/// It has a power of two of slots; a slot holds a row plus one, or 0 where it is empty; an id is looked for from the
/// slot of the hash's low bits on, slot after slot, up to an empty one.
struct IDIndex {
    private let ids: StringColumn
    private let slots: UnsafeBufferPointer<UInt32>
    private let mask: Int

    /// The longest run of filled slots, which bounds how long a look-up can take. A good hash at half load stays far
    /// below; ids chosen to collide do not.
    private static let longestRun = 256

    /// Takes a mapped index after checking that it finds every id, and each in one row only; where `isChecked`, that was
    /// done before.
    init(ids: StringColumn, slots tensor: TensorView, isChecked: Bool) throws(TableError) {
        slots = try tensor.elements(as: UInt32.self, shape: [nil])
        self.ids = ids
        mask = slots.count - 1
        guard slots.count > ids.count, slots.count & mask == 0 else {
            throw tensor.error("has \(slots.count) slots, not a power of two above \(ids.count)")
        }
        guard !isChecked else { return }
        guard Self.longestRun(of: slots) <= Self.longestRun else {
            throw tensor.error("has more than \(Self.longestRun) filled slots in a row")
        }
        guard slots.allSatisfy({ $0 <= ids.count }), slots.reduce(0, { $0 + ($1 == 0 ? 0 : 1) }) == ids.count else {
            throw tensor.error("does not hold each of the \(ids.count) rows once")
        }
        for row in 0..<ids.count where self.row(of: ids[row]) != UInt32(row) {
            throw tensor.error("does not find the id of row \(row), or finds it in another row")
        }
    }

    /// The row of an id; nil for an unknown one.
    func row(of id: UnsafeRawBufferPointer) -> UInt32? {
        var slot = Int(truncatingIfNeeded: XXH3_64bits(id.baseAddress, id.count)) & mask
        while slots[slot] != 0 {
            let row = slots[slot] - 1
            let candidate = ids[Int(row)]
            if candidate.count == id.count, memcmp(candidate.baseAddress!, id.baseAddress!, id.count) == 0 {
                return row
            }
            slot = (slot + 1) & mask
        }
        return nil
    }

    /// The slots for a column of ids.
    ///
    /// - Throws: ``Fault`` where two rows have one id, or where too many ids collide.
    static func build(_ ids: StringColumn) throws(Fault) -> [UInt32] {
        var size = 2
        while size < 2 * ids.count { size *= 2 }
        // Twice the slots at a time, in case of a crowded spot; ids made to collide stay together in any size.
        for slots in [size, 2 * size, 4 * size] {
            let result = try fill(ids, slots: slots)
            if result.withUnsafeBufferPointer(longestRun) <= longestRun { return result }
        }
        throw .collisions
    }

    /// Why an index cannot be built.
    enum Fault: Error {
        /// Two rows have one id.
        case duplicate(Int, Int)
        /// More ids than a look-up may pass have nearly the same hash.
        case collisions
    }

    private static func fill(_ ids: StringColumn, slots count: Int) throws(Fault) -> [UInt32] {
        var slots = [UInt32](repeating: 0, count: count)
        for row in 0..<ids.count {
            let id = ids[row]
            var slot = Int(truncatingIfNeeded: XXH3_64bits(id.baseAddress, id.count)) & (count - 1)
            while slots[slot] != 0 {
                let other = Int(slots[slot]) - 1
                if ids[other].elementsEqual(id) { throw .duplicate(other, row) }
                slot = (slot + 1) & (count - 1)
            }
            slots[slot] = UInt32(row) + 1
        }
        return slots
    }

    /// The longest run of filled slots, counted around the end; all of them where none is empty.
    private static func longestRun(of slots: UnsafeBufferPointer<UInt32>) -> Int {
        guard let empty = slots.firstIndex(of: 0) else { return slots.count }
        var (longest, run) = (0, 0)
        for step in 0..<slots.count {
            run = slots[(empty + step) & (slots.count - 1)] == 0 ? 0 : run + 1
            longest = max(longest, run)
        }
        return longest
    }
}
