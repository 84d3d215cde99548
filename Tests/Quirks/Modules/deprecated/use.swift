@available(*, deprecated)
func old(_ fields: inout Old_Fields) -> [String] {
    fields.text = "x"
    fields.`class` = 1
    fields.tree = Old_Fields(text: "y")
    fields.state = .old
    return fields.list + [fields.text]
}
func new() -> Old_Fields { Old_Fields(text: "x", kept: "y") }
