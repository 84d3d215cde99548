internal import ArgumentParser
internal import Foundation
public import Related
public import Retrieval

/// What ranks the lists of known products.
enum ListRanker: String, ExpressibleByArgument, CaseIterable {
    case hybrid
    case innerProduct = "inner-product"
}

extension HybridRanker: NeighbourRanker {}
extension PathBoosts: RowBoosts {}

/// The most memory that this process has had at once, in bytes.
func peakMemory() -> Int {
    var usage = rusage()
    getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
}
