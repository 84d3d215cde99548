/// Finds what somebody meant to write.
enum Spelling {
    /// ` (did you mean 'X'?)` for the nearest of the known words; empty where none is near.
    static func hint(_ word: String, among known: [String]) -> String {
        let distances = known.map { (word: $0, distance: distance(word.lowercased(), $0.lowercased())) }
        guard let nearest = distances.min(by: { $0.distance < $1.distance }),
            nearest.distance <= max(2, nearest.word.count / 3)
        else { return "" }
        return " (did you mean '\(nearest.word)'?)"
    }

    /// The letters to insert, remove or replace between two words (Levenshtein's distance).
    private static func distance(_ a: String, _ b: String) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = i
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let replaced = diagonal + (x == y ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, diagonal + 1, row[j] + 1)
            }
        }
        return row[b.count]
    }
}
