import FletchWellKnownTypes
import FletchWire

func use() throws {
    var order = Shop_V1_Order(orderID: "A-1", items: [Shop_V1_Item()], state: .shipped, payment: .card("4111"))
    order.note = nil
    order.stock["cup"] = 3
    order.placed = Google_Protobuf_Timestamp(seconds: 1_700_000_000)
    let bytes = order.encoded()
    let same = try Shop_V1_Order(decoding: bytes)
    if case .invoice(let invoice)? = same.payment { print(invoice) }
}
