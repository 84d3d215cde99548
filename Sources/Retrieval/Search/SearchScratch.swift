/// The memory that one thread's searches by codes work in; grows to what the largest table needs.
final class SearchScratch {
    @exclusivity(unchecked) private var stepStorage = UnsafeMutableBufferPointer<Int16>(start: nil, count: 0)
    @exclusivity(unchecked) private var floatStorage = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)
    @exclusivity(unchecked) private var tableStorage = UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)
    @exclusivity(unchecked) private var rowStorage = UnsafeMutableBufferPointer<ScoredRow>(start: nil, count: 0)
    @exclusivity(unchecked) private var keyStorage = UnsafeMutableBufferPointer<UInt64>(start: nil, count: 0)
    @exclusivity(unchecked) private var numberStorage = UnsafeMutableBufferPointer<UInt32>(start: nil, count: 0)
    /// Sums of one block of a look-up, beside the hits.
    let sums = UnsafeMutablePointer<UInt16>.allocate(capacity: Scan.blockRows)

    deinit {
        stepStorage.deallocate()
        floatStorage.deallocate()
        tableStorage.deallocate()
        rowStorage.deallocate()
        keyStorage.deallocate()
        numberStorage.deallocate()
        sums.deallocate()
    }

    /// Room for a query in steps.
    func steps(_ count: Int) -> UnsafeMutablePointer<Int16> { Self.room(&stepStorage, count, 0) }
    /// Room for floats.
    func floats(_ count: Int) -> UnsafeMutablePointer<Float> { Self.room(&floatStorage, count, 0) }
    /// Room for look-up tables.
    func tables(_ count: Int) -> UnsafeMutablePointer<UInt8> { Self.room(&tableStorage, count, 0) }
    /// Room for the lists that are probed.
    func probes(_ count: Int) -> UnsafeMutablePointer<ScoredRow> {
        Self.room(&rowStorage, count, ScoredRow(row: 0, score: 0))
    }
    /// Room for candidates.
    func keys(_ count: Int) -> UnsafeMutablePointer<UInt64> { Self.room(&keyStorage, count, 0) }
    /// Room for the rows of candidates.
    func rows(_ count: Int) -> UnsafeMutablePointer<UInt32> { Self.room(&numberStorage, count, 0) }

    private static func room<Element: BitwiseCopyable>(
        _ storage: inout UnsafeMutableBufferPointer<Element>, _ count: Int, _ value: Element
    ) -> UnsafeMutablePointer<Element> {
        storage.grow(to: max(1, count), filling: value)
        return storage.baseAddress!
    }
}
